// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// factsOf are the facts that an exception of a request tells.
func factsOf(t *testing.T, kind, text string) []report.Fact {
	td, span := spanOf(t, checkout, server, failed, "", attrs{"http.response.status_code": 500})
	ev := span.Events().AppendEmpty()
	ev.SetName("exception")
	ev.Attributes().PutStr("exception.type", kind)
	ev.Attributes().PutStr("exception.message", text)
	var b report.Batch
	New(Settings{}).Traces(td, testNow, nil, &b)
	return b.Facts
}

func TestOwnWantIsToldInManyWords(t *testing.T) {
	for library, c := range map[string]struct {
		exception, text string
		kind            report.FactKind
	}{
		"urllib3":           {"urllib3.exceptions.FullPoolError", "Pool reached maximum size and no more connections are allowed.", report.FactPoolEmpty},
		"reactor_pool":      {"", "Pool#acquire(Duration) has been pending for more than the configured timeout of 45000ms", report.FactPoolEmpty},
		"Vertx":             {"io.vertx.core.http.ConnectionPoolTooBusyException", "Connection pool reached max wait queue size of 1000", report.FactPoolEmpty},
		"Mongo_Java":        {"com.mongodb.MongoWaitQueueFullException", "Too many operations are already waiting for a connection. Max number of operations (maxWaitQueueSize) of 500 has been exceeded.", report.FactPoolEmpty},
		"Mongo_.NET":        {"MongoDB.Driver.MongoWaitQueueFullException", "The wait queue for acquiring a connection to server mongo:27017 is full.", report.FactPoolEmpty},
		"Cassandra_Java":    {"com.datastax.driver.core.exceptions.BusyPoolException", "[cassandra] Pool is busy (no available connection and the queue has reached its max size 256)", report.FactPoolEmpty},
		"gocql":             {"", "gocql: no streams available on connection", report.FactPoolEmpty},
		"executor":          {"java.util.concurrent.RejectedExecutionException", "Task java.util.concurrent.FutureTask@1 rejected from java.util.concurrent.ThreadPoolExecutor@2[Running, pool size = 8, active threads = 8, queued tasks = 100, completed tasks = 7]", report.FactNoThread},
		"Spring_executor":   {"org.springframework.core.task.TaskRejectedException", "Executor [java.util.concurrent.ThreadPoolExecutor@2[Running, pool size = 8, active threads = 8, queued tasks = 100, completed tasks = 7]] did not accept task: x", report.FactNoThread},
		"Ruby_thread":       {"ThreadError", "can't create Thread: Resource temporarily unavailable", report.FactNoThread},
		"Rust_thread":       {"", `failed to spawn thread: Os { code: 11, kind: WouldBlock, message: "Resource temporarily unavailable" }`, report.FactNoThread},
		"Node_process":      {"Error", "spawn EAGAIN", report.FactNoThread},
		"shell":             {"", "bash: fork: retry: Resource temporarily unavailable", report.FactNoThread},
		"Tomcat":            {"", "All threads (200) are currently busy, waiting. Increase maxThreads (200) or check the servlet status", report.FactNoThread},
		"PHP":               {"", "[pool www] server reached pm.max_children setting (5), consider raising it", report.FactNoThread},
		"Apache":            {"", "AH00161: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting", report.FactNoThread},
		"Ruby_memory":       {"NoMemoryError", "failed to allocate memory", report.FactOutOfMemory},
		"netty":             {"io.netty.util.internal.OutOfDirectMemoryError", "failed to allocate 16777216 byte(s) of direct memory (used: 1056964615, max: 1073741824)", report.FactOutOfMemory},
		"Java_heap":         {"java.lang.OutOfMemoryError", "Java heap space", report.FactOutOfMemory},
		"Node_watchers":     {"Error", "ENOSPC: System limit for number of file watchers reached, watch '/app/views'", report.FactNoDescriptor},
		"inotify":           {"", "inotify_add_watch(7, /app) failed: No space left on device", report.FactNoDescriptor},
		"disk_in_exception": {"java.io.IOException", "No space left on device", report.FactDiskFull},
	} {
		t.Run(library, func(t *testing.T) {
			if facts := factsOf(t, c.exception, c.text); len(facts) != 1 || facts[0].Kind != c.kind {
				t.Errorf("facts %+v, want one of kind %v", facts, c.kind)
			}
		})
	}
	for name, text := range map[string]string{
		"an_executor_that_is_shut": "Task java.util.concurrent.FutureTask@1 rejected from java.util.concurrent.ThreadPoolExecutor@2[Terminated, pool size = 0, active threads = 0, queued tasks = 0, completed tasks = 7]",
		"a_producer_s_buffer":      "Failed to allocate 100 bytes within the configured max blocking time 60000 ms.", // its broker may be away
		"a_socket_that_has_none":   "[Errno 11] Resource temporarily unavailable",
		"Jedis_whatever_it_was":    "Could not get a resource from the pool",
	} {
		t.Run(name, func(t *testing.T) {
			if facts := factsOf(t, "", text); len(facts) != 0 {
				t.Errorf("said %+v", facts)
			}
		})
	}
}

func TestServersNameTheirWantInManyWords(t *testing.T) {
	for text, want := range map[string]report.Outcome{
		"ORA-01653: unable to extend table SHOP.ORDERS by 128 in tablespace USERS":                                                                         report.OutcomeDiskFull,
		"Could not allocate space for object 'dbo.orders' in database 'shop' because the 'PRIMARY' filegroup is full.":                                     report.OutcomeDiskFull,
		"The transaction log for database 'shop' is full due to 'LOG_BACKUP'.":                                                                             report.OutcomeDiskFull,
		"index [orders] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];":             report.OutcomeDiskFull,
		"etcdserver: mvcc: database space exceeded":                                                                                                        report.OutcomeDiskFull,
		"XMinioStorageFull: Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed.":                         report.OutcomeDiskFull,
		"circuit_breaking_exception: [parent] Data too large, data for [<http_request>] would be [1028/1kb], which is larger than the limit of [986/986b]": report.OutcomeMemoryFull,
		"DB::Exception: Memory limit (total) exceeded: would use 9.31 GiB (attempt to allocate chunk of 4194304 bytes), maximum: 9.30 GiB":                 report.OutcomeMemoryFull,
		"DB::Exception: Too many simultaneous queries. Maximum: 100":                                                                                       report.OutcomeOverloaded,
		"The request limit for the database is 60 and has been reached.":                                                                                   report.OutcomeOverloaded,
		"es_rejected_execution_exception: rejected execution of coordinating operation":                                                                    report.OutcomeOverloaded,
		"ORA-12519: TNS:no appropriate service handler found":                                                                                              report.OutcomeOverloaded,
		"ORA-00018: maximum number of sessions exceeded":                                                                                                   report.OutcomeOverloaded,
		"ORA-00020: maximum number of processes (150) exceeded":                                                                                            report.OutcomeOverloaded,
		"ORA-12516: TNS:listener could not find available handler with matching protocol stack":                                                            report.OutcomeOverloaded,
		"ORA-00942: table or view does not exist":                                                                                                          report.OutcomeOther,
		"DB::Exception: Memory limit (for query) exceeded: would use 9.31 GiB":                                                                             report.OutcomeOther, // one query asks too much
	} {
		if got := words().read(text).settled().outcome(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
