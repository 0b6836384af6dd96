// pgjdbc.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;

public class Jdbc {
    static final int SESSIONS = 3;
    static final int ROUNDS = 12;

    interface Check {
        void run() throws Exception;
    }

    interface Work {
        void run(int number, Connection connection) throws Exception;
    }

    static Connection connect(String... properties) throws SQLException {
        Properties all = new Properties();
        all.setProperty("user", "postgres");
        all.setProperty("sslmode", "disable");
        all.setProperty("prepareThreshold", "1");  // the first execution makes a named statement already
        for (int at = 0; at < properties.length; at += 2) all.setProperty(properties[at], properties[at + 1]);
        return DriverManager.getConnection(
            "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), all);
    }

    static List<Connection> open(int count) throws SQLException {
        List<Connection> all = new ArrayList<>();
        for (int number = 0; number < count; ++number) all.add(connect("ApplicationName", "jdbc-" + number));
        return all;
    }

    static void close(List<Connection> all) throws SQLException {
        for (Connection each : all) each.close();
    }

    static void inTurn(Work work) throws Exception {
        List<Connection> all = open(SESSIONS);
        for (int number = 0; number < all.size(); ++number) work.run(number, all.get(number));
        close(all);
    }

    /** Runs the work of each connection in a thread; throws the first failure when all have ended. */
    static void atOnce(List<Connection> all, Work work) throws Exception {
        List<Exception> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int number = 0; number < all.size(); ++number) {
            final int mine = number;
            threads.add(new Thread(() -> {
                try {
                    work.run(mine, all.get(mine));
                } catch (Exception failure) {
                    synchronized (failures) {
                        failures.add(failure);
                    }
                }
            }));
        }
        for (Thread each : threads) each.start();
        for (Thread each : threads) each.join();
        if (!failures.isEmpty()) throw failures.get(0);
    }

    static void equal(Object found, Object wanted) {
        if (!String.valueOf(found).equals(String.valueOf(wanted))) {
            throw new IllegalStateException(String.format("got '%.300s' and wanted '%.300s'", found, wanted));
        }
    }

    static String one(Connection connection, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            return oneOf(statement, parameters);
        }
    }

    static String oneOf(PreparedStatement statement, Object... parameters) throws SQLException {
        for (int at = 0; at < parameters.length; ++at) statement.setObject(at + 1, parameters[at]);
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            return rows.getString(1);
        }
    }

    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static void fails(String sqlState, Connection connection, String sql) {
        try {
            run(connection, sql);
        } catch (SQLException error) {
            equal(error.getSQLState(), sqlState);
            return;
        }
        throw new IllegalStateException(sql + " did not fail");
    }

    static void connects() throws Exception {
        for (int number = 0; number < 3; ++number) {
            try (Connection first = connect("ApplicationName", "first " + number, "options", "-c work_mem=" + (number + 1) + "MB");
                 Connection second = connect("ApplicationName", "second", "options", "-c statement_timeout=77s")) {
                for (int step = 0; step < 3; ++step) {
                    equal(one(first, "SHOW application_name"), "first " + number);
                    equal(one(second, "SHOW application_name"), "second");
                    equal(one(first, "SHOW work_mem"), (number + 1) + "MB");
                    equal(one(second, "SHOW statement_timeout"), "77s");
                }
            }
        }
    }

    static void simple() throws Exception {
        List<Connection> all = new ArrayList<>();
        for (int number = 0; number < SESSIONS; ++number) all.add(connect("preferQueryMode", "simple"));
        for (int step = 0; step < ROUNDS; ++step) {
            for (int number = 0; number < SESSIONS; ++number) {
                equal(one(all.get(number), "SELECT ?", "token " + number + " " + step), "token " + number + " " + step);
            }
        }
        close(all);
    }

    static void prepared() throws Exception {
        List<Connection> all = open(SESSIONS);
        List<PreparedStatement[]> statements = new ArrayList<>();
        for (int number = 0; number < SESSIONS; ++number) {  // S_1, S_2, ... in all of them
            statements.add(new PreparedStatement[] {
                all.get(number).prepareStatement("SELECT ?::int * 10 + " + number),
                all.get(number).prepareStatement("SELECT '" + number + ": ' || ?::text, " + number),
                all.get(number).prepareStatement("INSERT INTO notes VALUES (?, ?) RETURNING body || '" + number + "'")});
        }
        for (int step = 0; step < ROUNDS; ++step) {
            for (int number = 0; number < SESSIONS; ++number) {
                PreparedStatement[] own = statements.get(number);
                equal(oneOf(own[0], step), step * 10 + number);
                equal(oneOf(own[1], "t" + step), number + ": t" + step);
                equal(oneOf(own[2], step, "n" + step), "n" + step + number);
            }
        }
        for (PreparedStatement[] own : statements) own[0].close();
        for (int number = 0; number < SESSIONS; ++number) equal(oneOf(statements.get(number)[1], "x"), number + ": x");
        close(all);
    }

    static void concurrent() throws Exception {
        List<Connection> all = open(SESSIONS);
        atOnce(all, (number, connection) -> {
            Random chance = new Random(number);
            for (int step = 0; step < ROUNDS * 3; ++step) {
                String token = number + " " + step;
                switch (chance.nextInt(4)) {
                case 0: equal(one(connection, "SELECT '" + token + "'"), token); break;
                case 1: equal(one(connection, "SELECT ?::text || ' of " + number + "'", token), token + " of " + number); break;
                case 2:
                    connection.setAutoCommit(false);
                    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO notes VALUES (?, ?)")) {
                        insert.setInt(1, number);
                        insert.setString(2, token);
                        equal(insert.executeUpdate(), 1);
                    }
                    equal(one(connection, "SELECT count(*) FROM notes WHERE body = ?", token), 1);
                    connection.commit();
                    connection.setAutoCommit(true);
                    break;
                default: fails("22012", connection, "SELECT 1 / 0");
                }
            }
        });
        close(all);
    }

    static void pipeline() throws Exception {
        List<Connection> all = open(SESSIONS);
        atOnce(all, (number, connection) -> {
            for (int step = 0; step < 5; ++step) {
                String body = "batch " + number + " " + step;
                try (PreparedStatement insert = connection.prepareStatement("INSERT INTO notes VALUES (10 / ?, ?)")) {
                    for (int n = 0; n < 200; ++n) {
                        insert.setInt(1, 1);
                        insert.setString(2, body);
                        insert.addBatch();
                    }
                    equal(IntStream.of(insert.executeBatch()).sum(), 200);
                    for (int divisor : new int[] {1, 0, 1}) {
                        insert.setInt(1, divisor);
                        insert.setString(2, body);
                        insert.addBatch();
                    }
                    insert.executeBatch();
                    throw new IllegalStateException("a division by zero worked");
                } catch (SQLException error) {
                    equal(error.getSQLState(), "22012");
                }
                equal(one(connection, "SELECT sum(n) FROM notes WHERE body = ?", body), 2000);
                try (Statement statement = connection.createStatement()) {
                    for (int n = 0; n < 20; ++n) statement.addBatch("UPDATE notes SET n = n + 1 WHERE body = '" + body + "'");
                    equal(IntStream.of(statement.executeBatch()).sum(), 4000);
                }
                equal(one(connection, "SELECT sum(n) FROM notes WHERE body = ?", body), 6000);
            }
        });
        close(all);
    }

    static void transactions() throws Exception {
        String count = "SELECT count(*) FROM notes WHERE body = ?";
        inTurn((number, connection) -> {
            String body = "transaction " + number;
            connection.setAutoCommit(false);
            run(connection, "INSERT INTO notes VALUES (1, '" + body + "')");
            Savepoint savepoint = connection.setSavepoint("a");
            run(connection, "INSERT INTO notes VALUES (2, '" + body + "')");
            equal(one(connection, count, body), 2);
            fails("22012", connection, "SELECT 1 / 0");
            connection.rollback(savepoint);
            equal(one(connection, count, body), 1);
            connection.commit();
            run(connection, "INSERT INTO notes VALUES (3, '" + body + "')");
            connection.rollback();
            connection.setReadOnly(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            equal(one(connection, "SHOW transaction_isolation"), "repeatable read");
            equal(one(connection, "SELECT sum(n) FROM notes WHERE body = ?", body), 1);
            fails("25006", connection, "INSERT INTO notes VALUES (4, '" + body + "')");
            connection.rollback();
            connection.setReadOnly(false);
            connection.setAutoCommit(true);
            equal(one(connection, "SELECT sum(n) FROM notes WHERE body = ?", body), 1);
        });
    }

    static void settings() throws Exception {
        List<Connection> all = open(SESSIONS);
        for (int number = 0; number < SESSIONS; ++number) {
            run(all.get(number), "SET work_mem = '" + (number + 1) + "MB'");
            all.get(number).setClientInfo("ApplicationName", "set " + number);
        }
        for (int step = 0; step < 5; ++step) {
            for (int number = 0; number < SESSIONS; ++number) {
                Connection connection = all.get(number);
                equal(one(connection, "SHOW work_mem"), (number + 1) + "MB");
                equal(one(connection, "SHOW application_name"), "set " + number);
                connection.setAutoCommit(false);
                run(connection, "SET LOCAL work_mem = '99MB'");
                equal(one(connection, "SHOW work_mem"), "99MB");
                connection.commit();
                connection.setAutoCommit(true);
            }
        }
        run(all.get(0), "RESET work_mem");
        equal(one(all.get(0), "SHOW work_mem"), "4MB");
        equal(one(all.get(1), "SHOW work_mem"), "2MB");
        all.get(1).setSchema("pg_catalog");
        equal(one(all.get(1), "SHOW search_path"), "pg_catalog");
        equal(one(all.get(2), "SELECT current_schema()"), "public");
        close(all);
    }

    static void copy() throws Exception {
        List<Connection> all = open(SESSIONS);
        String lines = IntStream.range(0, 500).mapToObj(n -> n + "\n").collect(Collectors.joining());
        atOnce(all, (number, connection) -> {
            CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
            for (int step = 0; step < 3; ++step) {
                String body = "copied " + number + " " + step;
                equal(manager.copyIn("COPY notes FROM STDIN", new StringReader(lines.replace("\n", "\t" + body + "\n"))), 500);
                StringWriter out = new StringWriter();
                manager.copyOut("COPY (SELECT n FROM notes WHERE body = '" + body + "' ORDER BY n) TO STDOUT", out);
                equal(out, lines);
                CopyIn given = manager.copyIn("COPY notes FROM STDIN");
                byte[] line = "1\tgiven up\n".getBytes();
                given.writeToCopy(line, 0, line.length);
                given.cancelCopy();
                equal(one(connection, "SELECT count(*) FROM notes WHERE body = 'given up'"), 0);
            }
        });
        close(all);
    }

    static void errors() throws Exception {
        inTurn((number, connection) -> {
            fails("42601", connection, "SELEC");
            fails("42P01", connection, "SELECT * FROM nowhere");
            fails("22P02", connection, "SELECT 'x" + number + "'::int");
            connection.setAutoCommit(false);
            fails("22012", connection, "SELECT 1 / 0");
            fails("25P02", connection, "SELECT 1");
            connection.rollback();
            connection.setAutoCommit(true);
            equal(one(connection, "SELECT ?::int", number), number);
        });
    }

    /** Runs a statement and cancels it after some time; its SQLSTATE, or nothing when it came to its end. */
    static String cancelled(Connection connection, String sql, int milliseconds) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(milliseconds);
                    statement.cancel();
                } catch (Exception failure) {
                    failure.printStackTrace();
                }
            });
            canceller.start();
            try {
                statement.execute(sql);
            } catch (SQLException error) {
                return error.getSQLState();
            } finally {
                canceller.join();
            }
        }
        return "";
    }

    static void cancel() throws Exception {
        List<Connection> two = open(2);
        atOnce(two, (number, connection) -> {
            if (number == 0) {
                equal(cancelled(connection, "SELECT pg_sleep(60)", 300), "57014");
                equal(one(connection, "SELECT 'awake'"), "awake");
            } else {
                Thread.sleep(100);
                equal(one(connection, "SELECT 'other' FROM notes_one FOR UPDATE"), "other");
            }
        });
        AtomicBoolean isOver = new AtomicBoolean();
        atOnce(two, (number, connection) -> {
            if (number == 1) {  // nothing that it sends may be cancelled
                while (!isOver.get()) equal(one(connection, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine");
                return;
            }
            try {
                for (int step = 0; step < 10; ++step) {
                    String state = cancelled(connection, "SELECT pg_sleep(0.02)", 20);
                    if (!state.isEmpty()) equal(state, "57014");
                }
            } finally {
                isOver.set(true);
            }
        });
        try {
            one(two.get(0), "SELECT 1");  // the last request may still be on its way
        } catch (SQLException error) {
            equal(error.getSQLState(), "57014");
        }
        equal(one(two.get(0), "SELECT 'at last'"), "at last");
        close(two);
    }

    static void large() throws Exception {
        List<Connection> two = open(2);
        atOnce(two, (number, connection) -> {
            for (int size : new int[] {5000, 0}) {  // by a named portal and row limits; all at once
                connection.setAutoCommit(size == 0);
                try (Statement statement = connection.createStatement()) {
                    statement.setFetchSize(size);
                    int count = 0;
                    ResultSet rows = statement.executeQuery(
                        "SELECT n, 'row " + number + " ' || n FROM generate_series(1, 100000) AS n");
                    while (rows.next()) {
                        equal(rows.getInt(1), ++count);
                        equal(rows.getString(2), "row " + number + " " + count);
                    }
                    equal(count, 100000);
                }
                if (size != 0) connection.commit();
            }
        });
        close(two);
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("driver pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        String[] names = {"connect", "simple", "prepared", "concurrent", "pipeline", "transactions", "settings", "copy",
                          "errors", "cancel", "large"};
        Check[] checks = {Jdbc::connects, Jdbc::simple, Jdbc::prepared, Jdbc::concurrent, Jdbc::pipeline, Jdbc::transactions,
                          Jdbc::settings, Jdbc::copy, Jdbc::errors, Jdbc::cancel, Jdbc::large};
        int code = 0;
        for (int at = 0; at < checks.length; ++at) {
            try {
                checks[at].run();
                System.out.println("ok " + names[at]);
            } catch (Exception failure) {
                code = 1;
                System.out.println("failed " + names[at]);
                failure.printStackTrace(System.out);
            }
        }
        System.exit(code);
    }
}
