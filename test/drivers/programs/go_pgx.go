// pgx, version 4.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

const (
	sessionCount = 3
	rounds       = 12
)

var always = context.Background()

// A check ends by a panic, with what is wrong, which main catches.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(found, wanted interface{}) {
	left, right := fmt.Sprint(found), fmt.Sprint(wanted)
	if left != right {
		panic(fmt.Sprintf("got %.300s and wanted %.300s", left, right))
	}
}

func open(words string) *pgx.Conn {
	connection, err := pgx.Connect(always, "sslmode=disable "+words) // the rest comes from the environment
	must(err)
	return connection
}

func sessions(count int) []*pgx.Conn {
	var all []*pgx.Conn
	for number := 0; number < count; number++ {
		all = append(all, open(fmt.Sprintf("application_name=pgx-%d", number)))
	}
	return all
}

func closeAll(all []*pgx.Conn) {
	for _, each := range all {
		must(each.Close(always))
	}
}

// Work for all sessions at once; the first failure when all have ended.
func atOnce(all []*pgx.Conn, work func(number int, connection *pgx.Conn)) {
	var waiting sync.WaitGroup
	failures := make(chan interface{}, len(all))
	for number, connection := range all {
		waiting.Add(1)
		go func(number int, connection *pgx.Conn) {
			defer waiting.Done()
			defer func() {
				if failure := recover(); failure != nil {
					failures <- failure
				}
			}()
			work(number, connection)
		}(number, connection)
	}
	waiting.Wait()
	close(failures)
	for failure := range failures {
		panic(failure)
	}
}

type asker interface {
	QueryRow(ctx context.Context, sql string, parameters ...interface{}) pgx.Row
}

func text(where asker, sql string, parameters ...interface{}) string {
	var value string
	must(where.QueryRow(always, sql, parameters...).Scan(&value))
	return value
}

func number(where asker, sql string, parameters ...interface{}) int {
	var value int
	must(where.QueryRow(always, sql, parameters...).Scan(&value))
	return value
}

func state(err error) string {
	var wrong *pgconn.PgError
	if errors.As(err, &wrong) {
		return wrong.Code
	}
	return fmt.Sprint(err)
}

func run(connection *pgx.Conn, sql string, parameters ...interface{}) {
	_, err := connection.Exec(always, sql, parameters...)
	must(err)
}

func fails(sqlstate string, connection *pgx.Conn, sql string) {
	_, err := connection.Exec(always, sql)
	equal(state(err), sqlstate)
}

func connects() {
	for at := 0; at < 3; at++ {
		first := open(fmt.Sprintf("application_name='first %d' options='-c work_mem=%dMB'", at, at+1))
		second := open("application_name=second statement_timeout=77s")
		for step := 0; step < 3; step++ {
			equal(text(first, "SHOW application_name"), fmt.Sprint("first ", at))
			equal(text(second, "SHOW application_name"), "second")
			equal(text(first, "SHOW work_mem"), fmt.Sprint(at+1, "MB"))
			equal(text(second, "SHOW statement_timeout"), "77s")
		}
		closeAll([]*pgx.Conn{first, second})
	}
}

func simple() {
	all := sessions(sessionCount)
	for step := 0; step < rounds; step++ {
		for at, connection := range all {
			token := fmt.Sprintf("token %d %d", at, step)
			equal(text(connection, "SELECT $1::text", pgx.QuerySimpleProtocol(true), token), token)
		}
	}
	closeAll(all)
}

func prepared() {
	all := sessions(sessionCount)
	for at, connection := range all {
		for name, sql := range map[string]string{
			"a": fmt.Sprintf("SELECT $1::int * 10 + %d", at),
			"b": fmt.Sprintf("SELECT '%d: ' || $1::text", at),
			"c": fmt.Sprintf("INSERT INTO notes VALUES ($1, $2) RETURNING body || '%d'", at)} {
			_, err := connection.Prepare(always, name, sql)
			must(err)
		}
	}
	for step := 0; step < rounds; step++ {
		for at, connection := range all {
			equal(number(connection, "a", step), step*10+at)
			equal(text(connection, "b", fmt.Sprint("t", step)), fmt.Sprintf("%d: t%d", at, step))
			equal(text(connection, "c", step, fmt.Sprint("n", step)), fmt.Sprintf("n%d%d", step, at))
			// And by the cache of statements that it keeps for texts.
			equal(number(connection, fmt.Sprintf("SELECT $1::int + %d", at), step), step+at)
		}
	}
	closeAll(all)
}

func concurrent() {
	all := sessions(sessionCount)
	atOnce(all, func(at int, connection *pgx.Conn) {
		for step := 0; step < rounds*3; step++ {
			token := fmt.Sprintf("%d %d", at, step)
			switch (step*7 + at*3) % 4 {
			case 0:
				equal(text(connection, "SELECT '"+token+"'"), token)
			case 1:
				equal(text(connection, fmt.Sprintf("SELECT $1 || ' of %d'", at), token), fmt.Sprintf("%s of %d", token, at))
			case 2:
				must(connection.BeginFunc(always, func(transaction pgx.Tx) error {
					_, err := transaction.Exec(always, "INSERT INTO notes VALUES ($1, $2)", at, token)
					must(err)
					equal(number(transaction, "SELECT count(*) FROM notes WHERE body = $1", token), 1)
					return nil
				}))
			default:
				fails("22012", connection, "SELECT 1 / 0")
			}
		}
	})
	closeAll(all)
}

func pipeline() {
	all := sessions(sessionCount)
	atOnce(all, func(at int, connection *pgx.Conn) {
		for step := 0; step < 5; step++ {
			batch := &pgx.Batch{}
			for n := 0; n < 20; n++ {
				batch.Queue(fmt.Sprintf("SELECT $1::int + %d", at*1000), n)
			}
			batch.Queue("INSERT INTO notes VALUES ($1, 'batch') RETURNING n", step)
			results := connection.SendBatch(always, batch)
			var value int
			for n := 0; n < 20; n++ {
				must(results.QueryRow().Scan(&value))
				equal(value, n+at*1000)
			}
			must(results.QueryRow().Scan(&value))
			equal(value, step)
			must(results.Close())

			wrong := &pgx.Batch{}
			wrong.Queue("INSERT INTO notes VALUES (1, 'given up')")
			wrong.Queue("SELECT 1 / $1::int", 0)
			wrong.Queue("SELECT 2")
			results = connection.SendBatch(always, wrong)
			_, err := results.Exec()
			must(err)
			_, err = results.Exec()
			equal(state(err), "22012")
			_ = results.Close()
			equal(number(connection, "SELECT count(*) FROM notes WHERE body = 'given up'"), 0)
		}
	})
	closeAll(all)
}

func transactions() {
	all := sessions(sessionCount)
	for at, connection := range all {
		body := fmt.Sprint("transaction ", at)
		count := "SELECT count(*) FROM notes WHERE body = $1"
		insert := func(where pgx.Tx, n int) {
			_, err := where.Exec(always, "INSERT INTO notes VALUES ($1, $2)", n, body)
			must(err)
		}
		outer, err := connection.Begin(always)
		must(err)
		insert(outer, 1)
		inner, err := outer.Begin(always) // a savepoint
		must(err)
		insert(inner, 2)
		equal(number(inner, count, body), 2)
		_, err = inner.Exec(always, "SELECT 1 / 0")
		equal(state(err), "22012")
		must(inner.Rollback(always))
		equal(number(outer, count, body), 1)
		must(outer.Commit(always))
		other, err := connection.BeginTx(always, pgx.TxOptions{IsoLevel: pgx.Serializable})
		must(err)
		insert(other, 3)
		must(other.Rollback(always))
		equal(number(connection, "SELECT sum(n) FROM notes WHERE body = $1", body), 1)
	}
	closeAll(all)
}

func settings() {
	all := sessions(sessionCount)
	for at, connection := range all {
		run(connection, fmt.Sprintf("SET work_mem = '%dMB'", at+1))
		run(connection, fmt.Sprintf("SET application_name = 'set %d'", at))
	}
	for step := 0; step < 5; step++ {
		for at, connection := range all {
			equal(text(connection, "SHOW work_mem"), fmt.Sprint(at+1, "MB"))
			equal(text(connection, "SHOW application_name"), fmt.Sprint("set ", at))
			must(connection.BeginFunc(always, func(transaction pgx.Tx) error {
				_, err := transaction.Exec(always, "SET LOCAL work_mem = '99MB'")
				must(err)
				equal(text(transaction, "SHOW work_mem"), "99MB")
				return nil
			}))
		}
	}
	run(all[0], "RESET work_mem")
	equal(text(all[0], "SHOW work_mem"), "4MB")
	equal(text(all[1], "SHOW work_mem"), "2MB")
	closeAll(all)
}

// Rows that come to a bad end.
type givenUp struct{ count int }

func (rows *givenUp) Next() bool {
	rows.count++
	return rows.count < 3
}
func (rows *givenUp) Values() ([]interface{}, error) {
	return []interface{}{rows.count, "given up"}, nil
}
func (rows *givenUp) Err() error { return errors.New("given up") } // sent as a CopyFail

func copies() {
	all := sessions(sessionCount)
	atOnce(all, func(at int, connection *pgx.Conn) {
		for step := 0; step < 3; step++ {
			body := fmt.Sprintf("copied %d %d", at, step)
			var rows [][]interface{}
			var lines strings.Builder
			for n := 0; n < 500; n++ {
				rows = append(rows, []interface{}{n, body})
				fmt.Fprintln(&lines, n)
			}
			count, err := connection.CopyFrom(always, pgx.Identifier{"notes"}, []string{"n", "body"}, pgx.CopyFromRows(rows))
			must(err)
			equal(count, 500)
			var out strings.Builder
			_, err = connection.PgConn().CopyTo(always, &out,
				fmt.Sprintf("COPY (SELECT n FROM notes WHERE body = '%s' ORDER BY n) TO STDOUT", body))
			must(err)
			equal(out.String(), lines.String())
			_, err = connection.CopyFrom(always, pgx.Identifier{"notes"}, []string{"n", "body"}, &givenUp{})
			equal(state(err), "57014")
			equal(number(connection, "SELECT count(*) FROM notes WHERE body = 'given up'"), 0)
		}
	})
	closeAll(all)
}

func faults() {
	all := sessions(sessionCount)
	for at, connection := range all {
		fails("42601", connection, "SELEC")
		fails("42P01", connection, "SELECT * FROM nowhere")
		fails("22P02", connection, fmt.Sprintf("SELECT 'x%d'::int", at))
		run(connection, "BEGIN")
		fails("22012", connection, "SELECT 1 / 0")
		fails("25P02", connection, "SELECT 1")
		run(connection, "ROLLBACK")
		equal(number(connection, "SELECT $1::int", at), at)
	}
	closeAll(all)
}

// Runs a statement and cancels it after some time; its SQLSTATE, or nothing when it came to its end.
func cancelled(connection *pgx.Conn, sql string, after time.Duration) string {
	done := make(chan struct{})
	time.AfterFunc(after, func() {
		defer close(done)
		_ = connection.PgConn().CancelRequest(always)
	})
	_, err := connection.Exec(always, sql)
	<-done
	if err == nil {
		return ""
	}
	return state(err)
}

func cancel() {
	two := sessions(2)
	atOnce(two, func(at int, connection *pgx.Conn) {
		if at == 0 {
			equal(cancelled(connection, "SELECT pg_sleep(60)", 300*time.Millisecond), "57014")
			equal(text(connection, "SELECT 'awake'"), "awake")
		} else {
			time.Sleep(100 * time.Millisecond)
			equal(text(connection, "SELECT 'other' FROM notes_one FOR UPDATE"), "other")
		}
	})
	var isOver int32
	atOnce(two, func(at int, connection *pgx.Conn) {
		if at == 1 { // nothing that it sends may be cancelled
			for atomic.LoadInt32(&isOver) == 0 {
				equal(text(connection, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine")
			}
			return
		}
		defer atomic.StoreInt32(&isOver, 1)
		for step := 0; step < 10; step++ {
			if wrong := cancelled(connection, "SELECT pg_sleep(0.02)", 20*time.Millisecond); wrong != "" {
				equal(wrong, "57014")
			}
		}
	})
	_, _ = two[0].Exec(always, "SELECT 1") // the last request may still be on its way
	equal(text(two[0], "SELECT 'at last'"), "at last")
	// A context that ends closes the connection, after a cancel of its own; no other one notices.
	short, stop := context.WithTimeout(always, 200*time.Millisecond)
	defer stop()
	_, err := two[0].Exec(short, "SELECT pg_sleep(60)")
	equal(err != nil && two[0].IsClosed(), true)
	equal(text(two[1], "SELECT 'other' FROM notes_one FOR UPDATE"), "other")
	must(two[1].Close(always))
}

func large() {
	two := sessions(2)
	atOnce(two, func(at int, connection *pgx.Conn) {
		sql := fmt.Sprintf("SELECT n, 'row %d ' || n FROM generate_series(1, 100000) AS n", at)
		count := 0
		read := func(rows pgx.Rows) int {
			before := count
			for rows.Next() {
				var n int
				var row string
				must(rows.Scan(&n, &row))
				count++
				if n != count || row != fmt.Sprintf("row %d %d", at, count) {
					panic(fmt.Sprintf("row %d is %d, %s", count, n, row))
				}
			}
			must(rows.Err())
			return count - before
		}
		rows, err := connection.Query(always, sql)
		must(err)
		equal(read(rows), 100000)
		count = 0
		must(connection.BeginFunc(always, func(transaction pgx.Tx) error {
			_, err := transaction.Exec(always, "DECLARE own CURSOR FOR "+sql)
			must(err)
			for {
				rows, err := transaction.Query(always, "FETCH 5000 FROM own")
				must(err)
				if read(rows) == 0 {
					break
				}
			}
			return nil
		}))
		equal(count, 100000)
	})
	closeAll(two)
}

func main() {
	fmt.Println("driver pgx 4")
	code := 0
	for _, each := range []struct {
		name string
		run  func()
	}{{"connect", connects}, {"simple", simple}, {"prepared", prepared}, {"concurrent", concurrent}, {"pipeline", pipeline},
		{"transactions", transactions}, {"settings", settings}, {"copy", copies}, {"errors", faults}, {"cancel", cancel},
		{"large", large}} {
		func() {
			defer func() {
				if failure := recover(); failure != nil {
					code = 1
					fmt.Println("failed", each.name)
					fmt.Printf("%v\n", failure)
				}
			}()
			each.run()
			fmt.Println("ok", each.name)
		}()
	}
	os.Exit(code)
}
