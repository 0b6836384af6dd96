# Ruby's pg. Its threads wait for different sessions at once.

require "pg"

SESSIONS = 3
ROUNDS = 12

def sessions(count = SESSIONS)
  opened = Array.new(count) do |number|
    PG.connect(application_name: "ruby-#{number}").tap { |each| each.set_notice_processor { |_| } }
  end
  yield opened
ensure
  opened&.each(&:close)
end

def equal(found, wanted)
  raise "got #{found.inspect[0, 300]} and wanted #{wanted.inspect[0, 300]}" if found != wanted
end

def one(connection, sql, parameters = [])
  connection.exec_params(sql, parameters).getvalue(0, 0)
end

def fails(sqlstate, connection, sql)
  connection.exec(sql)
rescue PG::Error => e
  equal(e.result.error_field(PG::PG_DIAG_SQLSTATE), sqlstate)
else
  raise "#{sql} did not fail"
end

def at_once(connections)
  threads = connections.each_with_index.map { |each, number| Thread.new { yield number, each } }
  threads.each { |thread| thread.report_on_exception = false }.each(&:join)
end

CHECKS = {
  connect: lambda do
    3.times do |number|
      first = PG.connect(application_name: "first #{number}", options: "-c work_mem=#{number + 1}MB")
      second = PG.connect(application_name: "second", options: "-c statement_timeout=77s")
      3.times do
        equal(one(first, "SHOW application_name"), "first #{number}")
        equal(one(second, "SHOW application_name"), "second")
        equal(one(first, "SHOW work_mem"), "#{number + 1}MB")
        equal(one(second, "SHOW statement_timeout"), "77s")
      end
      [first, second].each(&:close)
    end
  end,

  simple: lambda do
    sessions do |all|
      ROUNDS.times do |step|
        all.each_with_index do |connection, number|
          equal(connection.exec("SELECT 'first'; SELECT 'token #{number} #{step}'").values, [["token #{number} #{step}"]])
        end
      end
    end
  end,

  prepared: lambda do
    sessions do |all|
      all.each_with_index do |connection, number|
        connection.prepare("a", "SELECT $1::int * 10 + #{number}")
        connection.prepare("b", "SELECT '#{number}: ' || $1::text, #{number}")
        connection.prepare("c", "INSERT INTO notes VALUES ($1, $2) RETURNING body || '#{number}'")
      end
      ROUNDS.times do |step|
        all.each_with_index do |connection, number|
          equal(connection.exec_prepared("a", [step]).values, [[(step * 10 + number).to_s]])
          equal(connection.exec_prepared("b", ["t#{step}"]).values, [["#{number}: t#{step}", number.to_s]])
          equal(connection.exec_prepared("c", [step, "n#{step}"]).values, [["n#{step}#{number}"]])
          equal(connection.describe_prepared("b").nfields, 2)
        end
      end
      all[0].exec("DEALLOCATE a")
      fails("26000", all[0], "EXECUTE a(1)")
      equal(all[1].exec("EXECUTE a(1)").values, [["11"]])
    end
  end,

  concurrent: lambda do
    sessions do |all|
      at_once(all) do |number, connection|
        chance = Random.new(number)
        connection.prepare("own", "SELECT $1 || ' of #{number}'")
        (ROUNDS * 3).times do |step|
          token = "#{number} #{step}"
          case chance.rand(4)
          when 0 then equal(one(connection, "SELECT '#{token}'"), token)
          when 1 then equal(connection.exec_prepared("own", [token]).values, [["#{token} of #{number}"]])
          when 2
            connection.transaction do
              connection.exec_params("INSERT INTO notes VALUES ($1, $2)", [number, token])
              equal(one(connection, "SELECT count(*) FROM notes WHERE body = $1", [token]), "1")
            end
          else fails("22012", connection, "SELECT 1 / 0")
          end
        end
      end
    end
  end,

  pipeline: lambda do
    sessions do |all|
      at_once(all) do |number, connection|
        connection.prepare("piped", "SELECT $1::int + #{number * 1000}")
        5.times do
          connection.enter_pipeline_mode
          20.times { |at| connection.send_query_prepared("piped", [at]) }
          connection.pipeline_sync
          connection.send_query_params("SELECT 1 / 0", [])
          connection.send_query_prepared("piped", [1])
          connection.pipeline_sync
          connection.send_query_prepared("piped", [2])
          connection.pipeline_sync
          found = []
          syncs = 0
          while syncs < 3
            result = connection.get_result
            next if result.nil?

            case result.result_status
            when PG::PGRES_PIPELINE_SYNC then syncs += 1
            when PG::PGRES_TUPLES_OK then found << result.getvalue(0, 0).to_i - number * 1000
            when PG::PGRES_PIPELINE_ABORTED then found << :aborted
            else found << result.error_field(PG::PG_DIAG_SQLSTATE)
            end
          end
          connection.exit_pipeline_mode
          equal(found, [*0...20, "22012", :aborted, 2])
        end
      end
    end
  end,

  transactions: lambda do
    sessions do |all|
      all.each_with_index do |connection, number|
        body = "transaction #{number}"
        count = "SELECT count(*) FROM notes WHERE body = $1"
        connection.transaction do
          connection.exec_params("INSERT INTO notes VALUES (1, $1)", [body])
          connection.exec("SAVEPOINT a")
          connection.exec_params("INSERT INTO notes VALUES (2, $1)", [body])
          equal(one(connection, count, [body]), "2")
          fails("22012", connection, "SELECT 1 / 0")
          connection.exec("ROLLBACK TO a")
          equal(one(connection, count, [body]), "1")
        end
        connection.exec("BEGIN")
        connection.exec_params("INSERT INTO notes VALUES (3, $1)", [body])
        connection.exec("ROLLBACK")
        equal(one(connection, "SELECT sum(n) FROM notes WHERE body = $1", [body]), "1")
      end
    end
  end,

  settings: lambda do
    sessions do |all|
      all.each_with_index { |each, number| each.exec("SET work_mem = '#{number + 1}MB'; SET application_name = 'set #{number}'") }
      5.times do
        all.each_with_index do |connection, number|
          equal(one(connection, "SHOW work_mem"), "#{number + 1}MB")
          equal(one(connection, "SHOW application_name"), "set #{number}")
          connection.transaction do
            connection.exec("SET LOCAL work_mem = '99MB'")
            equal(one(connection, "SHOW work_mem"), "99MB")
          end
        end
      end
      all[0].exec("DISCARD ALL")
      equal(one(all[0], "SHOW work_mem"), "4MB")
      equal(one(all[1], "SHOW work_mem"), "2MB")
    end
  end,

  copy: lambda do
    sessions do |all|
      at_once(all) do |number, connection|
        3.times do |step|
          body = "copied #{number} #{step}"
          connection.copy_data("COPY notes FROM STDIN") { 500.times { |n| connection.put_copy_data("#{n}\t#{body}\n") } }
          found = []
          connection.copy_data("COPY (SELECT n FROM notes WHERE body = '#{body}' ORDER BY n) TO STDOUT") do
            while (line = connection.get_copy_data)
              found << line.to_i
            end
          end
          equal(found, [*0...500])
          begin
            connection.copy_data("COPY notes FROM STDIN") do
              connection.put_copy_data("1\tgiven up\n")
              raise "given up"  # which ends it by CopyFail
            end
          rescue RuntimeError
            nil
          end
          equal(one(connection, "SELECT count(*) FROM notes WHERE body = 'given up'"), "0")
        end
      end
    end
  end,

  errors: lambda do
    sessions do |all|
      all.each_with_index do |connection, number|
        fails("42601", connection, "SELEC")
        fails("42P01", connection, "SELECT * FROM nowhere")
        fails("22P02", connection, "SELECT 'x#{number}'::int")
        connection.exec("BEGIN")
        fails("22012", connection, "SELECT 1 / 0")
        fails("25P02", connection, "SELECT 1")
        connection.exec("ROLLBACK")
        equal(one(connection, "SELECT $1::int", [number]), number.to_s)
      end
    end
  end,

  cancel: lambda do
    sessions(2) do |sleeper, other|
      at_once([sleeper, other]) do |number, connection|
        sleep(0.1)
        if number.zero?
          Thread.new { sleep(0.3); connection.cancel }
          fails("57014", connection, "SELECT pg_sleep(60)")
          equal(one(connection, "SELECT 'awake'"), "awake")
        else
          equal(one(connection, "SELECT 'other' FROM notes_one FOR UPDATE"), "other")
        end
      end
      is_over = false
      at_once([sleeper, other]) do |number, connection|
        if number.zero?
          10.times do
            canceller = Thread.new { sleep(0.02); connection.cancel }
            begin
              connection.exec("SELECT pg_sleep(0.02)")
            rescue PG::QueryCanceled
              nil
            end
            canceller.join
          end
        else
          # Nothing that it sends may be cancelled.
          equal(one(connection, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine") until is_over
        end
      ensure
        is_over = true
      end
      begin
        sleeper.exec("SELECT 1")  # the last request may still be on its way
      rescue PG::QueryCanceled
        nil
      end
      equal(one(sleeper, "SELECT 'at last'"), "at last")
    end
  end,

  large: lambda do
    sessions(2) do |all|
      at_once(all) do |number, connection|
        found = []
        connection.transaction do
          connection.exec("DECLARE own CURSOR FOR SELECT n + #{number} FROM generate_series(1, 100000) AS n")
          loop do
            part = connection.exec("FETCH 5000 FROM own").column_values(0)
            break if part.empty?

            found.concat(part.map(&:to_i))
          end
        end
        equal(found, [*(1 + number)..(100_000 + number)])
        count = 0
        connection.send_query("SELECT n, 'row #{number} ' || n FROM generate_series(1, 100000) AS n")
        connection.set_single_row_mode
        connection.get_result.stream_each_row do |n, text|
          count += 1
          equal([n, text], [count.to_s, "row #{number} #{count}"])
        end
        equal(count, 100_000)
      end
    end
  end
}.freeze

puts "driver ruby-pg #{PG::VERSION}"
code = 0
CHECKS.each do |name, check|
  check.call
  puts "ok #{name}"
rescue StandardError => e
  code = 1
  puts "failed #{name}", e.full_message(highlight: false)
ensure
  $stdout.flush
end
exit code
