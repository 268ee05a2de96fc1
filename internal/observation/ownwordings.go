// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

// ownWordings are the words in which a process, or the kernel of its host, tells how it
// is: what it is short of, that it panics, stops or has started. Collected from Go, Java,
// Python, Node, .NET, Ruby, Rust, C++, PHP, web servers, databases and the kernel.
var ownWordings = []wording{
	{"too many open files", saysDescriptors, anywhere},
	{"emfile", saysDescriptors, wholeWord},
	{"enfile", saysDescriptors, wholeWord},
	{"no file descriptors available", saysDescriptors, anywhere},
	{"system socket count has been exceeded", saysDescriptors, anywhere}, // Eclipse's broker of MQTT
	{"cannot assign requested address", saysPorts, anywhere},
	{"can't assign requested address", saysPorts, anywhere},
	{"eaddrnotavail", saysPorts, wholeWord},
	{"lacked sufficient buffer space", saysPorts, anywhere}, // WSAENOBUFS
	{"create new native thread", saysThreads, anywhere},
	{"create native thread", saysThreads, anywhere},
	{"can't start new thread", saysThreads, anywhere},
	{"pthread_create failed", saysThreads, anywhere},
	{"failed to create new os thread", saysThreads, anywhere},
	{"failed to create thread", saysThreads, anywhere},
	{"cannot create thread", saysThreads, anywhere},
	{"can't create thread", saysThreads, anywhere}, // Ruby
	{"failed to spawn thread", saysThreads, anywhere},
	{"spawn eagain", saysThreads, anywhere},                                     // Node
	{"[running, pool size", saysThreads, anywhere},                              // an executor of Java turns work away
	{"are currently busy, waiting. increase maxthreads", saysThreads, anywhere}, // Tomcat
	{"reached pm.max_children", saysThreads, anywhere},                          // PHP
	{"reached maxrequestworkers", saysThreads, anywhere},                        // Apache
	{"task queue depth is", saysThreads, atStart},                               // waitress, once all of its threads work
	{"uwsgi listen queue of socket", saysThreads, anywhere},                     // is full
	{"thread pool starvation", saysThreads, anywhere},                           // Kestrel
	{"fork: retry: resource temporarily unavailable", saysThreads, anywhere},
	{"fork: resource temporarily unavailable", saysThreads, anywhere},
	{"no space left on device", saysDisk, anywhere},
	{"enospc", saysDisk, wholeWord},
	{"file watchers reached", saysWatchers, anywhere}, // inotify's limit, told as ENOSPC
	{"inotify", saysWatchers, anywhere},
	{"edquot", saysDisk, wholeWord},
	{"disk quota exceeded", saysDisk, anywhere},
	{"not enough space on the disk", saysDisk, anywhere},
	{"disk full", saysDisk, anywhere},
	{"disk is full", saysDisk, anywhere},
	{"disk resource limit alarm set", saysDisk, anywhere},
	{"free disk space is insufficient", saysDisk, anywhere},
	{"flood stage disk watermark", saysDisk, anywhere},
	{"read-only file system", saysDisk, anywhere},
	{"erofs", saysDisk, wholeWord},
	{"out of memory", saysMemory, anywhere},
	{"perhaps out of memory", saysGuess, anywhere}, // gunicorn, of any worker that was killed
	{"memory resource limit alarm set", saysMemory, anywhere},
	{"outofmemory", saysMemory, anywhere},
	{"cannot allocate memory", saysMemory, anywhere},
	{"memoryerror", saysMemory, wholeWord},
	{"bad_alloc", saysMemory, anywhere},
	{"nomemoryerror", saysMemory, anywhere},     // Ruby
	{"outofdirectmemory", saysMemory, anywhere}, // netty
	{"enomem", saysMemory, wholeWord},
	{"java heap space", saysMemory, anywhere},
	{"gc overhead limit exceeded", saysMemory, anywhere},
	{"oom-kill", saysOOMKill, anywhere},
	{"killed by the oom", saysOOMKill, anywhere},
	{"out of memory: kill", saysOOMKill, anywhere},

	{"panic: ", saysPanic, atStart},
	{"fatal error: ", saysPanic, atStart},
	{"unhandled exception", saysPanic, atStart},
	{"uncaught exception", saysPanic, atStart},
	{"uncaughtexception", saysPanic, anywhere},
	{"exception in thread", saysPanic, atStart},
	{"traceback (most recent call last)", saysPanic, atStart},
	{"terminate called", saysPanic, atStart},
	{"fatal python error", saysPanic, anywhere},
	{"' panicked at", saysPanic, anywhere},
	{"error has been detected by the java runtime", saysPanic, anywhere},
	{"sigsegv", saysPanic, anywhere},
	{"sigabrt", saysPanic, anywhere},
	{"sigbus", saysPanic, wholeWord},
	{"segmentation fault", saysPanic, anywhere},
	{"segmentation violation", saysPanic, anywhere},
	{"core dumped", saysPanic, anywhere},
	{"recovered", saysRecovered, anywhere},
	{"recovering", saysRecovered, anywhere},
	{"panic serving", saysRecovered, anywhere},

	{"sigterm", saysStopping, anywhere},
	{"sigint", saysStopping, wholeWord},
	{"signal terminated", saysStopping, anywhere},
	{"signal: terminated", saysStopping, anywhere},
	{"signal interrupt", saysStopping, anywhere},
	{"signal: interrupt", saysStopping, anywhere},
	{"terminating on signal 15", saysStopping, anywhere},
	{"shutting down", saysStopping, anywhere},
	{"graceful shutdown", saysStopping, anywhere},
	{"graceful stop", saysStopping, anywhere},
	{"gracefully shut", saysStopping, anywhere},
	{"gracefully stop", saysStopping, anywhere},
	{"stopping gracefully", saysStopping, anywhere},
	{"stopping server", saysStopping, anywhere},
	{"] stopping ...", saysStopping, anywhere}, // Elasticsearch, OpenSearch
	{"stopping service", saysStopping, wholeWord},
	{"closing org.springframework", saysStopping, anywhere},
	{"shutdown request", saysStopping, anywhere}, // PostgreSQL: smart, fast
	{"requested shutdown", saysStopping, anywhere},
	{"): normal shutdown", saysStopping, anywhere}, // MySQL, MariaDB
	{"handler", saysNotStopping, wholeWord},
	{"waiting for sig", saysNotStopping, anywhere},
	{"listening for sig", saysNotStopping, anywhere},
	{"shutting down client", saysNotStopping, anywhere},
	{"shutting down connection", saysNotStopping, anywhere},
	{"shutting down idle", saysNotStopping, anywhere},
	{"shutting down session", saysNotStopping, anywhere},
	{"shutting down channel", saysNotStopping, anywhere},
	{"shutting down stream", saysNotStopping, anywhere},
	{"shutting down worker", saysNotStopping, anywhere},
	{"shutting down thread", saysNotStopping, anywhere},
	{"shutting down pool", saysNotStopping, anywhere},
	{"shutting down executor", saysNotStopping, anywhere},
	{"shutting down consumer", saysNotStopping, anywhere},
	{"shutting down producer", saysNotStopping, anywhere},
	{"shutting down subscription", saysNotStopping, anywhere},

	{"listening on", saysStarted, anywhere},
	{"server started", saysStarted, anywhere},
	{"application started", saysStarted, anywhere},
	{"application startup complete", saysStarted, anywhere},
	{"started application", saysStarted, anywhere},
	{"ready to accept connections", saysStarted, anywhere},
	{"ready for connections", saysStarted, anywhere},
	{"process running for", saysStarted, anywhere},
	{"jvm running for", saysStarted, anywhere},
}
