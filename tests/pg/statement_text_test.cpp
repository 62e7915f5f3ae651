#include "pg/statement.hpp"

#include <gtest/gtest.h>

namespace opi::pg {
namespace {

bool harmless(std::string_view sql) {
  return !effects_of(sql).dirties_session;
}

TEST(StatementText, PlainReadsAndWritesAreHarmless) {
  for (const char* sql : {"SELECT 1",
                          "  select * from t where a = 'set_config' -- nextval\n",
                          "INSERT INTO t VALUES ($1, 'x''y')",
                          "UPDATE t SET a = 1",
                          "DELETE FROM t",
                          "WITH x AS (SELECT 1) SELECT * FROM x",
                          "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
                          "/* DISCARD /* nested */ ALL */ SELECT 1",
                          "SELECT $$set_config('a', 'b', false)$$",
                          "SELECT $tag$ nextval $tag$",
                          "VALUES (1)",
                          "(SELECT 1)",
                          "BEGIN ISOLATION LEVEL SERIALIZABLE",
                          "COMMIT",
                          "ROLLBACK",
                          "SAVEPOINT a",
                          "SELECT 1; SELECT 2;",
                          "SHOW work_mem",
                          "TABLE t",
                          "",
                          "SELECT E'it\\'s nextval()'",
                          "SELECT a FROM t WHERE b = $1 FOR UPDATE",
                          "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
                          "SELECT 1.5e3, a$b FROM t",
                          "COPY t FROM STDIN"}) {
    EXPECT_TRUE(harmless(sql)) << sql;
  }
}

TEST(StatementText, WhateverTouchesTheSessionIsNot) {
  for (const char* sql : {"SET work_mem = '1MB'",
                          "RESET ALL",
                          "SELECT set_config('a', 'b', false)",
                          "SELECT pg_catalog.\"set_config\"('a', 'b', false)",
                          "SELECT SET_CONFIG('a', 'b', false)",
                          "SELECT pg_advisory_lock(1)",
                          "SELECT pg_try_advisory_lock(1)",
                          "SELECT nextval('s')",
                          "SELECT lastval()",
                          "SELECT setseed(0.5)",
                          "LISTEN a",
                          "CREATE TEMP TABLE t (a int)",
                          "SELECT 1 INTO TEMP t",
                          "SELECT * INTO t FROM x",
                          "DECLARE c CURSOR FOR SELECT 1",
                          "PREPARE a AS SELECT 1",
                          "DO $$BEGIN END$$",
                          "CALL p()",
                          "LOCK t",
                          "EXPLAIN ANALYZE SELECT 1",
                          "SELECT 1; SET a = 1",
                          "SELECT dblink_connect('x')",
                          "WITH x AS (SELECT set_config('a','b',false)) SELECT 1"}) {
    EXPECT_FALSE(harmless(sql)) << sql;
  }
}

TEST(StatementText, WhatCannotBeReadWithCertaintyIsNot) {
  for (const char* sql :
       {"SELECT 'open", "SELECT \"open", "SELECT $a$ open", "/* open", "SELECT U&\"s\\0065t_config\"('a','b',false)",
        "SELECT E'\\'", "SELECT 'a\\' || set_config('a','b',false) --'"}) {
    EXPECT_FALSE(harmless(sql)) << sql;
  }
  EXPECT_FALSE(harmless(std::string_view("SELECT 1\0; SET a = 1", 20)));
}

TEST(StatementText, StatementsPreparedByHandAreNoticed) {
  EXPECT_TRUE(effects_of("PREPARE a AS SELECT 1").names_statements);
  EXPECT_TRUE(effects_of("SELECT 1; DEALLOCATE ALL").names_statements);
  EXPECT_TRUE(effects_of("DISCARD ALL").names_statements);
  EXPECT_FALSE(effects_of("SELECT 'prepare'").names_statements);
}

TEST(StatementText, TransactionControlIsSeenAtTheBeginningOfEachStatement) {
  for (const char* sql : {"BEGIN", "commit", "ROLLBACK TO x", "SAVEPOINT a", "RELEASE a", "START TRANSACTION", "END",
                          "ABORT", "SELECT 1; COMMIT", "/* x */ begin", "SELECT U&\"\\0062\""}) {
    EXPECT_TRUE(effects_of(sql).controls_transaction) << sql;
    EXPECT_FALSE(Statement(sql).multiplexable()) << sql;
  }
  for (const char* sql : {"SELECT 1", "SELECT 'begin'", "SELECT commit FROM t", "INSERT INTO t VALUES (1)"}) {
    EXPECT_FALSE(effects_of(sql).controls_transaction) << sql;
    EXPECT_TRUE(Statement(sql).multiplexable()) << sql;
  }
  for (const char* sql : {"SELECT set_config('a', 'b', false)", "LISTEN x", "PREPARE x AS SELECT 1", "COPY t TO STDOUT",
                          "SET work_mem = 1", "SELECT pg_advisory_lock(1)"}) {
    EXPECT_FALSE(Statement(sql).multiplexable()) << sql;
  }
}

}  // namespace
}  // namespace opi::pg
