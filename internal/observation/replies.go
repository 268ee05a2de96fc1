// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

// What databases, caches and brokers answer instead of a result. Such an answer
// proves that they are alive and can be reached, whatever it says: a fault of the
// request, a conflict between two requests, a resource of their own that is used
// up, or that they do not serve for now.

// replyWordings are the words of those answers, as drivers pass them on.
// Collected from PostgreSQL, MySQL, Redis, memcached, MongoDB and Kafka through
// psycopg, asyncpg, JDBC, pg, mysql2, PyMySQL, redis-py, ioredis, Lettuce, Jedis
// and Npgsql.
var replyWordings = []wording{
	{"could not extend file", saysTheirDisk, anywhere},
	{"could not write to file", saysTheirDisk, anywhere},
	{"errors.diskfull", saysTheirDisk, anywhere},
	{"diskfullerror", saysTheirDisk, anywhere},
	{"outofdiskspace", saysTheirDisk, anywhere},
	{"errors writing to the aof file: no space", saysTheirDisk, anywhere},
	{"kafkastorage", saysTheirDisk, anywhere},
	{"' is full", saysTheirDisk, anywhere},                        // MySQL: The table 't' is full
	{"unable to extend table", saysTheirDisk, anywhere},           // Oracle
	{"filegroup is full", saysTheirDisk, anywhere},                // SQL Server
	{"the transaction log for database", saysTheirDisk, anywhere}, // and its log
	{"exceeded flood-stage watermark", saysTheirDisk, anywhere},   // Elasticsearch
	{"mvcc: database space exceeded", saysTheirDisk, anywhere},    // etcd
	{"storagefull", saysTheirDisk, anywhere},                      // MinIO
	{"circuit_breaking_exception", saysTheirMemory, anywhere},     // Elasticsearch
	{"memory limit (total) exceeded", saysTheirMemory, anywhere},  // ClickHouse
	{"used memory > 'maxmemory'", saysTheirMemory, anywhere},
	{"out of memory storing object", saysTheirMemory, anywhere},
	{"out of memory (needed", saysTheirMemory, anywhere},
	{"in memory context", saysTheirMemory, anywhere},
	{"errors.outofmemory", saysTheirMemory, anywhere},
	{"ora-04031", saysTheirMemory, anywhere},                              // Oracle
	{"insufficient system memory in resource", saysTheirMemory, anywhere}, // SQL Server

	{"max number of clients reached", saysOverloaded, anywhere},
	{"no more connections allowed", saysOverloaded, anywhere},
	{"query_wait_timeout", saysOverloaded, anywhere},
	{"max_user_connections", saysOverloaded, anywhere},
	{"toomanyconnections", saysOverloaded, anywhere},
	{"request limit for the database", saysOverloaded, anywhere}, // Azure SQL
	{"too many simultaneous queries", saysOverloaded, anywhere},  // ClickHouse
	{"es_rejected_execution", saysOverloaded, anywhere},          // Elasticsearch
	{"overloadedexception", saysOverloaded, anywhere},            // Cassandra
	{"ora-00018", saysOverloaded, anywhere},                      // sessions
	{"ora-00020", saysOverloaded, anywhere},                      // processes
	{"ora-12516", saysOverloaded, anywhere},                      // the listener's handlers
	{"ora-12519", saysOverloaded, anywhere},

	{"statement timeout", saysUndecided, anywhere},
	{"errors.querycanceled", saysUndecided, anywhere},
	{"querycancelederror", saysUndecided, anywhere},
	{"max_statement_time exceeded", saysUndecided, anywhere},
	{"maximum statement execution time exceeded", saysUndecided, anywhere},
	{"read only replica", saysUndecided, anywhere},
	{"read-only transaction", saysUndecided, anywhere},
	{"read-only option", saysUndecided, anywhere},

	// Poolers and proxies that do not get to a database behind them.
	{"server_login_retry", saysNotServing, anywhere}, // PgBouncer
	{"pgbouncer cannot connect to server", saysNotServing, anywhere},
	{"server conn crashed?", saysNotServing, anywhere},
	{"all backend nodes are down", saysNotServing, anywhere}, // Pgpool
	{"while reaching hostgroup", saysNotServing, anywhere},   // ProxySQL

	{"the database system is", saysNotServing, anywhere}, // starting up, shutting down, in recovery mode
	{"link with master is down", saysNotServing, anywhere},
	{"hash slot not served", saysNotServing, anywhere},
	{"the cluster is down", saysNotServing, anywhere},
	{"loading the dataset in memory", saysNotServing, anywhere},
	{"redis is busy running", saysNotServing, anywhere},
	{"not enough good replicas", saysNotServing, anywhere},
	{"unable to persist to disk", saysNotServing, anywhere},
	{"not primary", saysNotServing, anywhere},
	{"notprimary", saysNotServing, anywhere},
	{"leader not available", saysNotServing, anywhere},
	{"leader_not_available", saysNotServing, anywhere},
	{"notleaderorfollower", saysNotServing, anywhere}, // Kafka
	{"notenoughreplicas", saysNotServing, anywhere},
	{"not enough replicas available", saysNotServing, anywhere}, // Cassandra
	{"status line [http/1.1 503", saysNotServing, anywhere},     // Elasticsearch's for Java, and that of OpenSearch

	{"psycopg2.errors.", saysRequest, anywhere}, // classes of errors that the server sent
	{"psycopg.errors.", saysRequest, anywhere},
	{"asyncpg.exceptions.", saysRequest, anywhere},
	{"blocked because of many connection errors", saysRequest, anywhere}, // MySQL
	{"there was an authentication failure", saysRequest, anywhere},       // StackExchange.Redis
	{"password authentication failed", saysRequest, anywhere},
	{"authentication failed", saysRequest, anywhere},
	{"no pg_hba.conf entry", saysRequest, anywhere},
	{"access denied for user", saysRequest, anywhere},
	{"invalid username-password pair", saysRequest, anywhere},
	{"already authenticated", saysRequest, anywhere},
	{"syntax error at or near", saysRequest, anywhere},
	{"error in your sql syntax", saysRequest, anywhere},
	{"violates unique constraint", saysRequest, anywhere},
	{"violates foreign key", saysRequest, anywhere},
	{"violates not-null", saysRequest, anywhere},
	{"violates check constraint", saysRequest, anywhere},
	{"duplicate entry", saysRequest, anywhere},
	{"duplicate key", saysRequest, anywhere},
	{"deadlock detected", saysRequest, anywhere},
	{"deadlock found", saysRequest, anywhere},
	{"lock wait timeout", saysRequest, anywhere},
	{"due to lock timeout", saysRequest, anywhere},
	{"could not serialize access", saysRequest, anywhere},
	{"wrong kind of value", saysRequest, anywhere},
	{"no matching script", saysRequest, anywhere},
	{"unknown command", saysRequest, anywhere},
	{"object too large for cache", saysRequest, anywhere},
	{"status line [http/1.1 4", saysRequest, anywhere}, // Elasticsearch's for Java, and that of OpenSearch
}

// codeSays is what a database's own code says, if s is or begins with one: an
// SQLSTATE ("57P01", "57P01: terminating …", "… (SQLSTATE 57P01)"), or the word
// in capitals that an error of Redis begins with ("READONLY You can't …").
func codeSays(s string) meaning {
	if len(s) < 3 || len(s) > maxText {
		return 0
	}
	if isState(s) && (len(s) == 5 || s[5] == ':') {
		return stateSays(s[:5])
	}
	for i := 0; i+14 <= len(s); i++ {
		if s[i] == 'S' && s[i:i+8] == "SQLSTATE" && isState(s[i+9:]) {
			return stateSays(s[i+9 : i+14])
		}
	}
	end := 0
	for end < len(s) && s[end]-'A' < 26 {
		end++
	}
	if end < 3 || end > 16 || end < len(s) && s[end] != ' ' {
		return 0
	}
	switch s[:end] {
	case "OOM":
		return saysTheirMemory
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY", "MISCONF":
		return saysNotServing
	case "READONLY":
		return saysUndecided
	case "ERR", "WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM", "NOSCRIPT", "MOVED", "ASK", "CROSSSLOT", "EXECABORT",
		"BUSYGROUP", "NOGROUP", "NOPROTO", "NOTBUSY", "BUSYKEY", "UNBLOCKED":
		return saysRequest
	}
	return 0
}

// isState says whether s begins with an SQLSTATE: five digits and capitals, some
// of them digits.
func isState(s string) bool {
	if len(s) < 5 || len(s) > 5 && inWord(s[5]) {
		return false
	}
	digits := 0
	for i := range 5 {
		switch c := s[i]; {
		case c-'0' <= 9:
			digits++
		case c-'A' >= 26:
			return false
		}
	}
	return digits >= 2
}

// stateSays is what an SQLSTATE says: the standard's classes, and PostgreSQL's
// own for what is the matter with the server.
func stateSays(state string) meaning {
	switch state {
	case "53100":
		return saysTheirDisk
	case "53200":
		return saysTheirMemory
	case "53000", "53300", "53400":
		return saysOverloaded
	case "57P01", "57P02", "57P05":
		return saysReset
	case "57P03":
		return saysNotServing
	case "57014", "25006":
		return saysUndecided
	}
	switch state[:2] {
	case "0A", "21", "22", "23", "25", "26", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "54", "55", "P0":
		return saysRequest
	}
	return 0
}
