// lib/pq, under database/sql.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/lib/pq"
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

// A session of its own: database/sql's pool is kept at one connection.
type session struct {
	*sql.Conn
	pool *sql.DB
}

func open(words string) session {
	pool, err := sql.Open("postgres", "sslmode=disable "+words) // the rest comes from the environment
	must(err)
	connection, err := pool.Conn(always)
	must(err)
	return session{connection, pool}
}

func sessions(count int, words string) []session {
	var all []session
	for number := 0; number < count; number++ {
		all = append(all, open(fmt.Sprintf("application_name=pq-%d %s", number, words)))
	}
	return all
}

func closeAll(all []session) {
	for _, each := range all {
		must(each.Conn.Close())
		must(each.pool.Close())
	}
}

// Work for all sessions at once; the first failure when all have ended.
func atOnce(all []session, work func(at int, connection session)) {
	var waiting sync.WaitGroup
	failures := make(chan interface{}, len(all))
	for at, connection := range all {
		waiting.Add(1)
		go func(at int, connection session) {
			defer waiting.Done()
			defer func() {
				if failure := recover(); failure != nil {
					failures <- failure
				}
			}()
			work(at, connection)
		}(at, connection)
	}
	waiting.Wait()
	close(failures)
	for failure := range failures {
		panic(failure)
	}
}

type asker interface {
	QueryRowContext(ctx context.Context, query string, parameters ...interface{}) *sql.Row
}

func text(where asker, query string, parameters ...interface{}) string {
	var value string
	must(where.QueryRowContext(always, query, parameters...).Scan(&value))
	return value
}

func state(err error) string {
	var wrong *pq.Error
	if errors.As(err, &wrong) {
		return string(wrong.Code)
	}
	return fmt.Sprint(err)
}

func run(connection session, query string, parameters ...interface{}) {
	_, err := connection.ExecContext(always, query, parameters...)
	must(err)
}

func fails(sqlstate string, connection session, query string) {
	_, err := connection.ExecContext(always, query)
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
		closeAll([]session{first, second})
	}
}

func simple() {
	all := sessions(sessionCount, "")
	for step := 0; step < rounds; step++ {
		for at, connection := range all {
			token := fmt.Sprintf("token %d %d", at, step)
			equal(text(connection, "SELECT '"+token+"'"), token)
		}
	}
	closeAll(all)
}

func prepared() {
	for _, words := range []string{"", "binary_parameters=yes"} {
		all := sessions(sessionCount, words)
		var statements [][]*sql.Stmt
		for at, connection := range all { // the names are 1, 2, 3 in all of them
			var own []*sql.Stmt
			for _, query := range []string{
				fmt.Sprintf("SELECT $1::int * 10 + %d", at),
				fmt.Sprintf("SELECT '%d: ' || $1::text", at),
				fmt.Sprintf("INSERT INTO notes VALUES (length($1), $1) RETURNING body || '%d'", at)} {
				statement, err := connection.PrepareContext(always, query)
				must(err)
				own = append(own, statement)
			}
			statements = append(statements, own)
		}
		ask := func(statement *sql.Stmt, parameter interface{}) string {
			var value string
			must(statement.QueryRow(parameter).Scan(&value))
			return value
		}
		for step := 0; step < rounds; step++ {
			for at, own := range statements {
				equal(ask(own[0], step), step*10+at)
				equal(ask(own[1], fmt.Sprint("t", step)), fmt.Sprintf("%d: t%d", at, step))
				equal(ask(own[2], fmt.Sprint("n", step)), fmt.Sprintf("n%d%d", step, at))
				equal(text(all[at], "SELECT $1::int + 1", step), step+1)
			}
		}
		for _, own := range statements {
			must(own[0].Close())
		}
		for at, own := range statements {
			equal(ask(own[1], "x"), fmt.Sprintf("%d: x", at))
		}
		closeAll(all)
	}
}

func concurrent() {
	all := sessions(sessionCount, "")
	atOnce(all, func(at int, connection session) {
		for step := 0; step < rounds*3; step++ {
			token := fmt.Sprintf("%d %d", at, step)
			switch (step*7 + at*3) % 4 {
			case 0:
				equal(text(connection, "SELECT '"+token+"'"), token)
			case 1:
				equal(text(connection, fmt.Sprintf("SELECT $1 || ' of %d'", at), token), fmt.Sprintf("%s of %d", token, at))
			case 2:
				transaction, err := connection.BeginTx(always, nil)
				must(err)
				_, err = transaction.Exec("INSERT INTO notes VALUES ($1, $2)", at, token)
				must(err)
				equal(text(transaction, "SELECT count(*) FROM notes WHERE body = $1", token), 1)
				must(transaction.Commit())
			default:
				fails("22012", connection, "SELECT 1 / 0")
			}
		}
	})
	closeAll(all)
}

func transactions() {
	all := sessions(sessionCount, "")
	for at, connection := range all {
		body := fmt.Sprint("transaction ", at)
		count := "SELECT count(*) FROM notes WHERE body = $1"
		transaction, err := connection.BeginTx(always, nil)
		must(err)
		do := func(query string, parameters ...interface{}) {
			_, err := transaction.Exec(query, parameters...)
			must(err)
		}
		do("INSERT INTO notes VALUES (1, $1)", body)
		do("SAVEPOINT a")
		do("INSERT INTO notes VALUES (2, $1)", body)
		equal(text(transaction, count, body), 2)
		_, err = transaction.Exec("SELECT 1 / 0")
		equal(state(err), "22012")
		do("ROLLBACK TO a")
		equal(text(transaction, count, body), 1)
		must(transaction.Commit())
		transaction, err = connection.BeginTx(always, &sql.TxOptions{Isolation: sql.LevelSerializable})
		must(err)
		do("INSERT INTO notes VALUES (3, $1)", body)
		must(transaction.Rollback())
		transaction, err = connection.BeginTx(always, &sql.TxOptions{ReadOnly: true})
		must(err)
		_, err = transaction.Exec("INSERT INTO notes VALUES (4, $1)", body)
		equal(state(err), "25006")
		must(transaction.Rollback())
		equal(text(connection, "SELECT sum(n) FROM notes WHERE body = $1", body), 1)
	}
	closeAll(all)
}

func settings() {
	all := sessions(sessionCount, "")
	for at, connection := range all {
		run(connection, fmt.Sprintf("SET work_mem = '%dMB'; SET application_name = 'set %d'", at+1, at))
	}
	for step := 0; step < 5; step++ {
		for at, connection := range all {
			equal(text(connection, "SHOW work_mem"), fmt.Sprint(at+1, "MB"))
			equal(text(connection, "SHOW application_name"), fmt.Sprint("set ", at))
			transaction, err := connection.BeginTx(always, nil)
			must(err)
			_, err = transaction.Exec("SET LOCAL work_mem = '99MB'")
			must(err)
			equal(text(transaction, "SHOW work_mem"), "99MB")
			must(transaction.Commit())
		}
	}
	run(all[0], "RESET work_mem")
	equal(text(all[0], "SHOW work_mem"), "4MB")
	equal(text(all[1], "SHOW work_mem"), "2MB")
	closeAll(all)
}

// It has COPY FROM STDIN in transactions only, and no COPY TO STDOUT.
func copies() {
	all := sessions(sessionCount, "")
	atOnce(all, func(at int, connection session) {
		for step := 0; step < 3; step++ {
			body := fmt.Sprintf("copied %d %d", at, step)
			for _, isGivenUp := range []bool{true, false} {
				transaction, err := connection.BeginTx(always, nil)
				must(err)
				into, err := transaction.Prepare(pq.CopyIn("notes", "n", "body"))
				must(err)
				for n := 0; n < 500; n++ {
					_, err = into.Exec(n, body)
					must(err)
				}
				if isGivenUp {
					_, err = into.Exec("not a number", body)
					must(err)
				}
				_, err = into.Exec()
				if isGivenUp {
					equal(state(err), "22P02")
					_ = into.Close()
					must(transaction.Rollback())
					continue
				}
				must(err)
				must(into.Close())
				must(transaction.Commit())
			}
			equal(text(connection, "SELECT count(*) || ' ' || sum(n) FROM notes WHERE body = $1", body), "500 124750")
		}
	})
	closeAll(all)
}

func faults() {
	all := sessions(sessionCount, "")
	for at, connection := range all {
		fails("42601", connection, "SELEC")
		fails("42P01", connection, "SELECT * FROM nowhere")
		fails("22P02", connection, fmt.Sprintf("SELECT 'x%d'::int", at))
		run(connection, "BEGIN")
		fails("22012", connection, "SELECT 1 / 0")
		fails("25P02", connection, "SELECT 1")
		run(connection, "ROLLBACK")
		equal(text(connection, "SELECT $1::int", at), at)
	}
	closeAll(all)
}

// It cancels what a context ends, and takes a new connection after that.
func cancel() {
	pool, err := sql.Open("postgres", "sslmode=disable application_name=sleeper")
	must(err)
	other := open("application_name=other")
	isOver := make(chan struct{})
	var waiting sync.WaitGroup
	var failure interface{}
	waiting.Add(1)
	go func() {
		defer waiting.Done()
		defer func() { failure = recover() }()
		for {
			select {
			case <-isOver:
				return
			default: // nothing that it sends may be cancelled
				equal(text(other, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine")
			}
		}
	}()
	ask := func(after time.Duration, query string) error {
		short, stop := context.WithTimeout(always, after)
		defer stop()
		_, err := pool.ExecContext(short, query)
		return err
	}
	func() {
		defer close(isOver)
		started := time.Now()
		equal(ask(300*time.Millisecond, "SELECT pg_sleep(60)") != nil, true)
		equal(time.Since(started) < 30*time.Second, true)
		equal(text(pool, "SELECT 'awake'"), "awake")
		for step := 0; step < 10; step++ {
			_ = ask(20*time.Millisecond, "SELECT pg_sleep(0.02)")
			equal(text(pool, "SELECT 'mine too'"), "mine too")
		}
	}()
	waiting.Wait()
	if failure != nil {
		panic(failure)
	}
	must(pool.Close())
	closeAll([]session{other})
}

func large() {
	two := sessions(2, "")
	atOnce(two, func(at int, connection session) {
		query := fmt.Sprintf("SELECT n, 'row %d ' || n FROM generate_series(1, 100000) AS n", at)
		count := 0
		read := func(rows *sql.Rows, err error) int {
			must(err)
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
		equal(read(connection.QueryContext(always, query)), 100000)
		count = 0
		transaction, err := connection.BeginTx(always, nil)
		must(err)
		_, err = transaction.Exec("DECLARE own CURSOR FOR " + query)
		must(err)
		for read(transaction.Query("FETCH 5000 FROM own")) > 0 {
		}
		must(transaction.Commit())
		equal(count, 100000)
	})
	closeAll(two)
}

func main() {
	fmt.Println("driver lib/pq 1")
	fmt.Println("none pipeline: lib/pq has no pipelines")
	code := 0
	for _, each := range []struct {
		name string
		run  func()
	}{{"connect", connects}, {"simple", simple}, {"prepared", prepared}, {"concurrent", concurrent},
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
