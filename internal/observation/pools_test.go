// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Whoever waits in vain for a connection of its own pool says so at once, each
// library in its own words; metrics come by the minute.
func TestEveryLibrarySaysThatItsPoolIsUsedUp(t *testing.T) {
	for library, c := range map[string]struct{ exception, text string }{
		"HikariCP":       {"java.sql.SQLTransientConnectionException", "HikariPool-1 - Connection is not available, request timed out after 30000ms (total=10, active=10, idle=0, waiting=7)"},
		"Tomcat_JDBC":    {"org.apache.tomcat.jdbc.pool.PoolExhaustedException", "[http-nio-8080-exec-4] Timeout: Pool empty. Unable to fetch a connection in 30 seconds, none available[size:100; busy:100; idle:0; lastwait:30000]."},
		"c3p0":           {"java.sql.SQLException", "An attempt by a client to checkout a Connection has timed out."},
		"DBCP":           {"java.sql.SQLException", "Cannot get a connection, pool error Timeout waiting for idle object"},
		"Druid":          {"com.alibaba.druid.pool.GetConnectionTimeoutException", "wait millis 60000, active 20, maxActive 20, creating 0"},
		"IronJacamar":    {"javax.resource.ResourceException", "IJ000453: Unable to get managed connection for java:/ds: IJ000655: No managed connections available within configured blocking timeout (30000 [ms])"},
		"Oracle_UCP":     {"java.sql.SQLException", "UCP-29: Failed to get a connection: All connections in the Universal Connection Pool are in use"},
		"Mongo_Java":     {"com.mongodb.MongoTimeoutException", "Timed out after 120000 ms while waiting for a connection to server mongo:27017. Details: maxPoolSize: 100, connections in use by cursors: 0"},
		"Mongo_Go":       {"", "timed out while checking out a connection from connection pool: context deadline exceeded; maxPoolSize: 10, connections in use by cursors: 0"},
		"HttpClient":     {"org.apache.http.conn.ConnectionPoolTimeoutException", "Timeout waiting for connection from pool"},
		"HttpClient_5":   {"org.apache.hc.core5.http.ConnectionRequestTimeoutException", "Timeout deadline: 180000 MILLISECONDS, actual: 180001 MILLISECONDS"},
		"reactor_netty":  {"reactor.netty.internal.shaded.reactor.pool.PoolAcquireTimeoutException", "Pool#acquire(Duration) has been pending for more than the configured timeout of 45000ms"},
		"Jedis":          {"redis.clients.jedis.exceptions.JedisExhaustedPoolException", "Could not get a resource since the pool is exhausted"},
		"SQLAlchemy":     {"sqlalchemy.exc.TimeoutError", "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)"},
		"psycopg_pool":   {"psycopg_pool.PoolTimeout", "couldn't get a connection after 30.00 sec"},
		"psycopg2":       {"psycopg2.pool.PoolError", "connection pool exhausted"},
		"redis-py":       {"redis.exceptions.MaxConnectionsError", "Too many connections"},
		"httpx":          {"httpx.PoolTimeout", ""},
		"node-postgres":  {"Error", "timeout exceeded when trying to connect"},
		"Knex":           {"KnexTimeoutError", "Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?"},
		"Sequelize":      {"SequelizeConnectionAcquireTimeoutError", "Operation timeout"},
		"Prisma":         {"PrismaClientKnownRequestError", "Timed out fetching a new connection from the connection pool. (Current connection pool timeout: 10, connection limit: 5)"},
		"mssql":          {"ConnectionError", "operation timed out for an unknown reason: ResourceRequest timed out"},
		"mariadb_node":   {"SqlError", "(conn:-1, no: 45028, SQLState: HY000) retrieve connection from pool timeout after 10001ms\n    (pool connections: active=5 idle=0 limit=5)"},
		"Npgsql":         {"Npgsql.NpgsqlException", "The connection pool has been exhausted, either raise 'Max Pool Size' (currently 100) or 'Timeout' (currently 15 seconds) in your connection string."},
		"SqlClient":      {"System.InvalidOperationException", "Timeout expired.  The timeout period elapsed prior to obtaining a connection from the pool.  This may have occurred because all pooled connections were in use and max pool size was reached."},
		"MySqlConnector": {"MySqlConnector.MySqlException", "Connect Timeout expired. All pooled connections are in use."},
		"Rails":          {"ActiveRecord::ConnectionTimeoutError", "could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds); all pooled connections were in use"},
		"Ruby_pool":      {"ConnectionPool::TimeoutError", "Waited 1.0 sec, 0/5 available"},
		"Sequel":         {"Sequel::PoolTimeout", "timeout: 5.0, elapsed: 5.0"},
		"go-redis":       {"", "redis: connection pool timeout"},
		"redigo":         {"", "redigo: connection pool exhausted"},
		"sqlx":           {"", "pool timed out while waiting for an open connection"},
		"r2d2":           {"", "timed out waiting for connection"},
		"deadpool":       {"", "Timeout occurred while waiting for a slot to become available"},
		"bb8":            {"", "Timed out in bb8"},
	} {
		t.Run(library, func(t *testing.T) {
			td, span := spanOf(t, checkout, server, failed, "", attrs{"http.response.status_code": 500})
			ev := span.Events().AppendEmpty()
			ev.SetName("exception")
			ev.Attributes().PutStr("exception.type", c.exception)
			ev.Attributes().PutStr("exception.message", c.text)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Facts) != 1 || b.Facts[0].Kind != report.FactPoolEmpty {
				t.Errorf("facts %+v, want one that the pool is empty", b.Facts)
			}
			if len(b.Served) != 1 || b.Served[0].Faults != 0 {
				t.Errorf("served %+v, want no failure of its own making", b.Served)
			}
		})
	}
}

// What only sounds like it.
func TestPoolThatIsNotUsedUpSaysNothing(t *testing.T) {
	for name, text := range map[string]string{
		"urllib3_keeps_no_more":      "Connection pool is full, discarding connection: billing. Connection pool size: 10",
		"urllib3_cannot_connect":     "HTTPConnectionPool(host='billing', port=8080): Max retries exceeded with url: / (Caused by NewConnectionError('Connection refused'))",
		"HikariCP_cannot_connect":    "HikariPool-1 - Connection is not available, request timed out after 2004ms (total=0, active=0, idle=0, waiting=4)",
		"Tomcat_cannot_connect":      "Timeout: Pool empty. Unable to fetch a connection in 30 seconds, none available[size:0; busy:0; idle:0; lastwait:30000].",
		"Druid_cannot_connect":       "com.alibaba.druid.pool.GetConnectionTimeoutException: wait millis 60000, active 0, maxActive 20, creating 1",
		"MariaDB_cannot_connect":     "retrieve connection from pool timeout after 10001ms (pool connections: active=0 idle=0 limit=5)",
		"Ecto_may_not_connect":       "connection not available and request was dropped from queue after 2000ms.",
		"r2dbc_may_not_connect":      "Connection acquisition timed out after 3000ms",
		"a_lock_and_no_connection":   "lock acquisition timeout",
		"HikariCP_keeps_house":       "HikariPool-1 - Failed to validate connection org.mariadb.jdbc.Connection@1 (Connection is closed). Possibly consider using a shorter maxLifetime value.",
		"SQLAlchemy_gives_one_back":  "The garbage collector is trying to clean up non-checked-in connection, which will be terminated.",
		"Mongo_finds_no_server":      "Timed out after 30000 ms while waiting for a server that matches ReadPreferenceServerSelector",
		"the_server_has_none_left":   "FATAL: sorry, too many clients already",
		"a_pool_that_is_shut":        "HikariDataSource HikariDataSource (HikariPool-1) has been closed.",
		"a_thread_pool_is_no_client": "the connection of the pool thread was renewed",
	} {
		t.Run(name, func(t *testing.T) {
			td, _ := spanOf(t, checkout, server, failed, text, attrs{"http.response.status_code": 500})
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			for _, f := range b.Facts {
				if f.Kind == report.FactPoolEmpty {
					t.Errorf("said %+v", f)
				}
			}
		})
	}
}
