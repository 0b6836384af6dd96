// node-postgres, with its cursors and COPY streams.

"use strict";

const { finished } = require("stream/promises");
const { Client } = require("pg");
const Query = require("pg/lib/query");
const Cursor = require("pg-cursor");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");

const SESSIONS = 3;
const ROUNDS = 12;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const numbers = (count) => Array.from({ length: count }, (_, at) => at);

async function open(settings = {}) {
  const client = new Client(settings);  // the rest comes from the environment
  await client.connect();
  return client;
}

async function withSessions(count, work, settings = {}) {
  const all = [];
  try {
    for (const number of numbers(count)) all.push(await open({ application_name: `node-${number}`, ...settings }));
    await work(all);
  } finally {
    for (const each of all) await each.end();
  }
}

function equal(found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`got ${left.slice(0, 300)} and wanted ${right.slice(0, 300)}`);
}

async function one(client, text, values) {
  const result = await client.query({ text, values, rowMode: "array" });
  return result.rows[0][0];
}

async function fails(sqlstate, client, text) {
  const error = await client.query(text).then(() => null, (failure) => failure);
  if (!error) throw new Error(`${text} did not fail`);
  equal(error.code, sqlstate);
}

// Work for all sessions at once; the first failure when all have ended.
async function atOnce(all, work) {
  const ends = await Promise.allSettled(all.map((client, number) => work(number, client)));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

const checks = {
  async connect() {
    for (const number of numbers(3)) {
      const first = await open({ application_name: `first ${number}`, options: `-c work_mem=${number + 1}MB` });
      const second = await open({ application_name: "second", statement_timeout: 77000 });
      for (const _ of numbers(3)) {
        equal(await one(first, "SHOW application_name"), `first ${number}`);
        equal(await one(second, "SHOW application_name"), "second");
        equal(await one(first, "SHOW work_mem"), `${number + 1}MB`);
        equal(await one(second, "SHOW statement_timeout"), "77s");
      }
      await first.end();
      await second.end();
    }
  },

  async simple() {
    await withSessions(SESSIONS, async (all) => {
      for (const step of numbers(ROUNDS)) {
        for (const [number, client] of all.entries()) {
          const results = await client.query(`SELECT 1 AS a; SELECT 'token ${number} ${step}' AS b`);
          equal(results.map((each) => each.rows), [[{ a: 1 }], [{ b: `token ${number} ${step}` }]]);
        }
      }
    });
  },

  async prepared() {
    await withSessions(SESSIONS, async (all) => {
      for (const step of numbers(ROUNDS)) {
        for (const [number, client] of all.entries()) {
          const run = async (name, text, values) => (await client.query({ name, text, values, rowMode: "array" })).rows;
          equal(await run("a", `SELECT $1::int * 10 + ${number}`, [step]), [[step * 10 + number]]);
          equal(await run("b", `SELECT '${number}: ' || $1::text, ${number}`, [`t${step}`]), [[`${number}: t${step}`, number]]);
          equal(await run("c", `INSERT INTO notes VALUES ($1, $2) RETURNING body || '${number}'`, [step, `n${step}`]),
            [[`n${step}${number}`]]);
        }
      }
    });
  },

  async concurrent() {
    await withSessions(SESSIONS, (all) => atOnce(all, async (number, client) => {
      for (const step of numbers(ROUNDS * 3)) {
        const token = `${number} ${step}`;
        const kind = (step * 7 + number * 3) % 4;
        if (kind === 0) {
          equal(await one(client, `SELECT '${token}'`), token);
        } else if (kind === 1) {
          const result = await client.query({ name: "own", text: `SELECT $1 || ' of ${number}' AS a`, values: [token] });
          equal(result.rows, [{ a: `${token} of ${number}` }]);
        } else if (kind === 2) {
          await client.query("BEGIN");
          await client.query("INSERT INTO notes VALUES ($1, $2)", [number, token]);
          equal(await one(client, "SELECT count(*)::int FROM notes WHERE body = $1", [token]), 1);
          await client.query("COMMIT");
        } else {
          await fails("22012", client, "SELECT 1 / 0");
        }
      }
    }));
  },

  async pipeline() {
    await withSessions(SESSIONS, (all) => atOnce(all, async (number, client) => {
      for (const step of numbers(5)) {
        const ends = await Promise.allSettled(numbers(40).map((at) => at === 20
          ? client.query("SELECT 1 / 0")
          : client.query({ name: at % 2 ? "odd" : undefined, text: `SELECT $1::int + ${at % 2 ? number * 1000 : 5} AS n`, values: [at] })));
        equal(ends.map((end) => end.status === "rejected" ? end.reason.code : end.value.rows[0].n),
          numbers(40).map((at) => at === 20 ? "22012" : at + (at % 2 ? number * 1000 : 5)));
        equal(await one(client, `SELECT 'after ${number} ${step}'`), `after ${number} ${step}`);
      }
    }), { pipeline: true });
  },

  async transactions() {
    await withSessions(SESSIONS, async (all) => {
      const count = "SELECT count(*)::int FROM notes WHERE body = $1";
      for (const [number, client] of all.entries()) {
        const body = `transaction ${number}`;
        await client.query("BEGIN");
        await client.query("INSERT INTO notes VALUES (1, $1)", [body]);
        await client.query("SAVEPOINT a");
        await client.query("INSERT INTO notes VALUES (2, $1)", [body]);
        equal(await one(client, count, [body]), 2);
        await fails("22012", client, "SELECT 1 / 0");
        await client.query("ROLLBACK TO a");
        equal(await one(client, count, [body]), 1);
        await client.query("COMMIT");
        await client.query("BEGIN");
        await client.query("INSERT INTO notes VALUES (3, $1)", [body]);
        await client.query("ROLLBACK");
        equal(await one(client, "SELECT sum(n)::int FROM notes WHERE body = $1", [body]), 1);
      }
    });
  },

  async settings() {
    await withSessions(SESSIONS, async (all) => {
      for (const [number, client] of all.entries()) {
        await client.query(`SET work_mem = '${number + 1}MB'; SET application_name = 'set ${number}'`);
      }
      for (const _ of numbers(5)) {
        for (const [number, client] of all.entries()) {
          equal(await one(client, "SHOW work_mem"), `${number + 1}MB`);
          equal(await one(client, "SHOW application_name"), `set ${number}`);
          await client.query("BEGIN; SET LOCAL work_mem = '99MB'");
          equal(await one(client, "SHOW work_mem"), "99MB");
          await client.query("COMMIT");
        }
      }
      await all[0].query("RESET work_mem");
      equal(await one(all[0], "SHOW work_mem"), "4MB");
      equal(await one(all[1], "SHOW work_mem"), "2MB");
    });
  },

  async copy() {
    await withSessions(SESSIONS, (all) => atOnce(all, async (number, client) => {
      for (const step of numbers(3)) {
        const body = `copied ${number} ${step}`;
        const into = client.query(copyFrom("COPY notes FROM STDIN"));
        for (const n of numbers(500)) into.write(`${n}\t${body}\n`);
        into.end();
        await finished(into);
        const parts = [];
        for await (const part of client.query(copyTo(`COPY (SELECT n FROM notes WHERE body = '${body}' ORDER BY n) TO STDOUT`))) {
          parts.push(part);
        }
        equal(Buffer.concat(parts).toString(), numbers(500).map((n) => `${n}\n`).join(""));
        const wrong = client.query(copyFrom("COPY notes FROM STDIN"));
        wrong.write("1\tgiven up\n");
        wrong.destroy(new Error("given up"));  // which ends it by CopyFail
        await finished(wrong).catch(() => {});
        equal(await one(client, "SELECT count(*)::int FROM notes WHERE body = 'given up'"), 0);
      }
    }));
  },

  async errors() {
    await withSessions(SESSIONS, async (all) => {
      for (const [number, client] of all.entries()) {
        await fails("42601", client, "SELEC");
        await fails("42P01", client, "SELECT * FROM nowhere");
        await fails("22P02", client, `SELECT 'x${number}'::int`);
        await client.query("BEGIN");
        await fails("22012", client, "SELECT 1 / 0");
        await fails("25P02", client, "SELECT 1");
        await client.query("ROLLBACK");
        equal(await one(client, "SELECT $1::int", [number]), number);
      }
    });
  },

  async cancel() {
    await withSessions(2, async ([sleeper, other]) => {
      // Whether a statement was cancelled after some time.
      const isCancelled = async (text, milliseconds) => {
        const end = new Promise((resolve) => {
          const query = new Query(text, (error) => resolve(error));
          sleeper.query(query);
          setTimeout(() => {
            const canceller = new Client();
            canceller.connection.on("error", () => {});
            canceller.cancel(sleeper, query);
          }, milliseconds);
        });
        const error = await end;
        if (error) equal(error.code, "57014");
        return Boolean(error);
      };
      await atOnce([sleeper, other], async (number, client) => {
        if (number === 0) {
          equal(await isCancelled("SELECT pg_sleep(60)", 300), true);
          equal(await one(client, "SELECT 'awake'"), "awake");
        } else {
          await pause(100);
          equal(await one(client, "SELECT 'other' FROM notes_one FOR UPDATE"), "other");
        }
      });
      let isOver = false;
      await atOnce([sleeper, other], async (number, client) => {
        if (number === 1) {
          // Nothing that it sends may be cancelled.
          while (!isOver) equal(await one(client, "SELECT 'mine' FROM notes_one FOR UPDATE"), "mine");
          return;
        }
        try {
          for (const _ of numbers(10)) await isCancelled("SELECT pg_sleep(0.02)", 20);
        } finally {
          isOver = true;
        }
      });
      await pause(100);
      await sleeper.query("SELECT 1").catch(() => {});  // the last request may still be on its way
      equal(await one(sleeper, "SELECT 'at last'"), "at last");
    });
  },

  async large() {
    await withSessions(2, (all) => atOnce(all, async (number, client) => {
      const text = `SELECT n, 'row ${number} ' || n AS t FROM generate_series(1, 100000) AS n`;
      const cursor = client.query(new Cursor(text));
      let count = 0;
      for (;;) {
        const rows = await cursor.read(5000);
        if (rows.length === 0) break;
        for (const row of rows) {
          count += 1;
          if (row.n !== count || row.t !== `row ${number} ${count}`) throw new Error(`row ${count} is ${JSON.stringify(row)}`);
        }
      }
      await cursor.close();
      equal(count, 100000);
      const all_of_it = await client.query(text);
      equal([all_of_it.rows.length, all_of_it.rows[99999]], [100000, { n: 100000, t: `row ${number} 100000` }]);
    }));
  },
};

async function main() {
  console.log("driver node-postgres", require("pg/package.json").version);
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log("ok", name);
    } catch (failure) {
      process.exitCode = 1;
      console.log("failed", name);
      console.log(failure);
    }
  }
}

main();
