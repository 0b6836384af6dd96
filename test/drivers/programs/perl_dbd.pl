# DBD::Pg. What has to go on at once uses its asynchronous queries.

use strict;
use warnings;

use DBI;
use DBD::Pg qw(:async);
use Time::HiRes qw(sleep);

my $SESSIONS = 3;
my $ROUNDS = 12;
$| = 1;

sub open_session {
    my (%parameters) = @_;
    # The rest comes from the environment.
    my $source = "dbi:Pg:" . join(";", map { "$_='$parameters{$_}'" } sort keys %parameters);
    my $handle = DBI->connect($source, "", "", {RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1});
    $handle->{pg_server_prepare} = 1;
    $handle->{pg_switch_prepared} = 1;  # the first execution prepares in the server already
    return $handle;
}

sub sessions {
    my ($count) = @_;
    return map { open_session(application_name => "perl-$_") } 0 .. $count - 1;
}

sub equal {
    my ($found, $wanted) = @_;
    die "got '" . substr($found, 0, 300) . "' and wanted '" . substr($wanted, 0, 300) . "'" if $found ne $wanted;
}

sub one {
    my ($handle, $sql, @parameters) = @_;
    my ($value) = $handle->selectrow_array($sql, undef, @parameters);
    return $value;
}

sub fails {
    my ($sqlstate, $handle, $sql) = @_;
    eval { $handle->do($sql); 1 } and die "$sql did not fail";
    equal($handle->state, $sqlstate);
}

sub close_all { $_->disconnect for @_ }

my @checks = (
    connect => sub {
        for my $number (0 .. 2) {
            my $first = open_session(application_name => "first $number", options => "-c work_mem=" . ($number + 1) . "MB");
            my $second = open_session(application_name => "second", options => "-c statement_timeout=77s");
            for (1 .. 3) {
                equal(one($first, "SHOW application_name"), "first $number");
                equal(one($second, "SHOW application_name"), "second");
                equal(one($first, "SHOW work_mem"), ($number + 1) . "MB");
                equal(one($second, "SHOW statement_timeout"), "77s");
            }
            close_all($first, $second);
        }
    },

    simple => sub {
        my @all = sessions($SESSIONS);
        for my $step (1 .. $ROUNDS) {
            for my $number (0 .. $#all) {
                equal(one($all[$number], "SELECT 'token $number $step'"), "token $number $step");
            }
        }
        close_all(@all);
    },

    prepared => sub {
        my @all = sessions($SESSIONS);
        my @prepared;
        for my $number (0 .. $#all) {
            my $counted = $all[$number]->prepare("SELECT \$1::int * 10 + $number", {pg_prepare_now => 1});
            # Names of its own making differ between processes, and there is but one; this one is the same in all sessions.
            $all[$number]->do("PREPARE same(int) AS SELECT \$1 + $number");
            my $by_name = $all[$number]->prepare("SELECT \$1::int + $number");
            $by_name->{pg_prepare_name} = "same";
            push @prepared, [$counted, $by_name, $all[$number]->prepare("INSERT INTO notes VALUES (?, ?) RETURNING body || '$number'")];
        }
        for my $step (1 .. $ROUNDS) {
            for my $number (0 .. $#all) {
                my ($counted, $by_name, $insert) = @{$prepared[$number]};
                equal($all[$number]->selectrow_array($counted, undef, $step), $step * 10 + $number);
                equal($all[$number]->selectrow_array($by_name, undef, $step), $step + $number);
                equal($all[$number]->selectrow_array($insert, undef, $step, "n$step"), "n$step$number");
            }
        }
        undef @prepared;
        close_all(@all);
    },

    concurrent => sub {
        my @all = sessions($SESSIONS);
        for my $step (1 .. $ROUNDS * 2) {
            # All of them wait for an answer at the same time.
            $all[$_]->do("INSERT INTO notes VALUES ($_, 'at once $_ $step')", {pg_async => PG_ASYNC}) for 0 .. $#all;
            equal($_->pg_result, 1) for reverse @all;
            for my $number (0 .. $#all) {
                my $body = "at once $number $step";
                equal(one($all[$number], "SELECT n FROM notes WHERE body = ?", $body), $number);
                fails("22012", $all[$number], "SELECT 1 / 0") if ($step + $number) % 5 == 0;
            }
        }
        close_all(@all);
    },

    transactions => sub {
        my @all = sessions($SESSIONS);
        for my $number (0 .. $#all) {
            my $handle = $all[$number];
            my $body = "transaction $number";
            my $count = "SELECT count(*) FROM notes WHERE body = ?";
            $handle->begin_work;
            $handle->do("INSERT INTO notes VALUES (1, ?)", undef, $body);
            $handle->pg_savepoint("a");
            $handle->do("INSERT INTO notes VALUES (2, ?)", undef, $body);
            equal(one($handle, $count, $body), 2);
            fails("22012", $handle, "SELECT 1 / 0");
            $handle->pg_rollback_to("a");
            equal(one($handle, $count, $body), 1);
            $handle->commit;
            $handle->begin_work;
            $handle->do("INSERT INTO notes VALUES (3, ?)", undef, $body);
            $handle->rollback;
            equal(one($handle, "SELECT sum(n) FROM notes WHERE body = ?", $body), 1);
        }
        close_all(@all);
    },

    settings => sub {
        my @all = sessions($SESSIONS);
        for my $number (0 .. $#all) {
            $all[$number]->do("SET work_mem = '" . ($number + 1) . "MB'");
            $all[$number]->do("SET application_name = 'set $number'");
        }
        for (1 .. 5) {
            for my $number (0 .. $#all) {
                equal(one($all[$number], "SHOW work_mem"), ($number + 1) . "MB");
                equal(one($all[$number], "SHOW application_name"), "set $number");
                $all[$number]->begin_work;
                $all[$number]->do("SET LOCAL work_mem = '99MB'");
                equal(one($all[$number], "SHOW work_mem"), "99MB");
                $all[$number]->commit;
            }
        }
        $all[0]->do("RESET work_mem");
        equal(one($all[0], "SHOW work_mem"), "4MB");
        equal(one($all[1], "SHOW work_mem"), "2MB");
        close_all(@all);
    },

    copy => sub {
        my @all = sessions($SESSIONS);
        for my $step (1 .. 3) {
            for my $number (0 .. $#all) {
                my $handle = $all[$number];
                my $body = "copied $number $step";
                $handle->do("COPY notes FROM STDIN");
                $handle->pg_putcopydata("$_\t$body\n") for 0 .. 499;
                $handle->pg_putcopyend;
                $handle->do("COPY (SELECT n FROM notes WHERE body = '$body' ORDER BY n) TO STDOUT");
                my ($line, @found);
                push @found, $line + 0 while $handle->pg_getcopydata($line) >= 0;
                equal("@found", join(" ", 0 .. 499));
                equal(one($handle, "SELECT sum(n) FROM notes WHERE body = ?", $body), 499 * 250);
            }
        }
        close_all(@all);
    },

    errors => sub {
        my @all = sessions($SESSIONS);
        for my $number (0 .. $#all) {
            my $handle = $all[$number];
            fails("42601", $handle, "SELEC");
            fails("42P01", $handle, "SELECT * FROM nowhere");
            fails("22P02", $handle, "SELECT 'x$number'::int");
            $handle->begin_work;
            fails("22012", $handle, "SELECT 1 / 0");
            fails("25P02", $handle, "SELECT 1");
            $handle->rollback;
            equal(one($handle, "SELECT ?::int", $number), $number);
        }
        close_all(@all);
    },

    cancel => sub {
        my ($sleeper, $other) = sessions(2);
        my $asynchronous = {pg_async => PG_ASYNC};
        for (1 .. 2) {
            $sleeper->do("SELECT pg_sleep(60)", $asynchronous);
            sleep(0.2);
            $other->do("UPDATE notes_one SET n = n", $asynchronous);
            sleep(0.1);
            $sleeper->pg_cancel;  # waits for the end, too
            equal($sleeper->state, "57014");
            equal($other->pg_result, 1);
            equal(one($sleeper, "SELECT 'awake'"), "awake");
        }
        for (1 .. 10) {
            $sleeper->do("SELECT pg_sleep(0.02)", $asynchronous);
            $other->do("UPDATE notes_one SET n = n", $asynchronous);
            sleep(0.02);
            $sleeper->pg_cancel;
            equal($other->pg_result, 1);  # is never the one that is cancelled
            equal(one($other, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine");
        }
        eval { $sleeper->do("SELECT 1") };  # the last request may still be on its way
        equal(one($sleeper, "SELECT 'at last'"), "at last");
        close_all($sleeper, $other);
    },

    large => sub {
        my @all = sessions(2);
        for my $number (0 .. $#all) {
            my $handle = $all[$number];
            my $count = 0;
            $handle->begin_work;
            $handle->do("DECLARE own CURSOR FOR SELECT n + $number FROM generate_series(1, 100000) AS n");
            my $part = $handle->prepare("FETCH 5000 FROM own");
            while ($part->execute > 0) {
                while (my ($n) = $part->fetchrow_array) {
                    equal($n, ++$count + $number);
                }
            }
            $handle->commit;
            equal($count, 100000);
            my $rows = $handle->selectall_arrayref("SELECT n, 'row $number ' || n FROM generate_series(1, 100000) AS n");
            equal(scalar @$rows, 100000);
            equal("@{$rows->[-1]}", "100000 row $number 100000");
        }
        close_all(@all);
    },
);

print "driver DBD::Pg $DBD::Pg::VERSION\n";
print "none pipeline: DBD::Pg has no pipelines\n";
my $code = 0;
while (my ($name, $check) = splice(@checks, 0, 2)) {
    if (eval { $check->(); 1 }) {
        print "ok $name\n";
    } else {
        $code = 1;
        print "failed $name\n$@\n";
    }
}
exit $code;
