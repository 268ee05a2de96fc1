// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// How full things are, as stock receivers and SDKs tell it: some give a share,
// some what is used and what there is in two metrics, some a count of periods
// or seconds that only rises. What the metrics of one resource say of one thing
// is put together here; which metrics say what stands in levels_table.go.

// part is what a metric tells of a level.
type part uint8

const (
	partShare    part = iota // 0-1
	partSlice                // 0-1, of which several make the whole
	partUsed                 // in units of partLimit
	partHeld                 // as partUsed, with what could be given back; counts where partUsed is not told
	partFree                 // in units of partLimit
	partLimit                // 0 or huge: there is none
	partWaiting              // requests that wait for it
	partWaits                // cumulative: requests that had to wait or were refused
	partPeriods              // cumulative: all periods, or seconds
	partAffected             // cumulative: those that were throttled, or in use
	partBusy                 // cumulative: seconds of the clock
	partEase                 // cumulative: while it rises the level means nothing
	partWork                 // cumulative: operations
	partWorkTime             // cumulative: seconds that they took, together
	numParts
)

const cumulative = 1<<partWaits | 1<<partPeriods | 1<<partAffected | 1<<partBusy | 1<<partEase | 1<<partWork | 1<<partWorkTime

// whose says of whom a metric speaks.
type whose uint8

const (
	itsResource whose = iota // who runs in the pod, container or process that the resource names, or the resource itself
	itsPod                   // who runs in the pod that the point's labels name
	itsHost                  // the host
)

// levelRule is one thing that a metric tells.
type levelRule struct {
	kind  report.LevelKind
	part  part
	whose whose
	of    []string // attributes that name which of several it is, the first that is there; the fullest counts
	only  []cond   // that hold for the points that count
	also  string   // tells apart two things of one kind, such as bytes and inodes
	scale float64  // 0: 1
}

// cond is a condition on an attribute.
type cond struct {
	name, value string // value "" matches where it is absent, too
	not         bool
}

func (w *cond) holds(attrs pcommon.Map) bool { return word(attrs, w.name) == w.value != w.not }

// level is what the metrics of one resource say of one thing together.
type level struct {
	levelKey
	parts [numParts]float64
	told  uint16
	at    pcommon.Timestamp
}

// levelKey is whose and which thing it is.
type levelKey struct {
	src     *report.Source
	address string
	kind    report.LevelKind
	of      string
	also    string
}

func (l *level) has(p part) bool { return l.told>>p&1 != 0 }

const (
	// maxLevels is how many things one resource may tell of: a scrape of cAdvisor
	// tells of all containers of a node.
	maxLevels = 4096
	// unlimited is a limit that is none: cgroups write the largest number.
	unlimited = 1 << 60
	// wholeMost is what parts of one whole make together at most: more is counted in
	// percent, or for each processor.
	wholeMost = 1.1
	// slowOperation is the time in seconds from which on an operation of a disk
	// waits for others; a disk that is merely busy is none that is short.
	slowOperation = 0.1
)

// levelOf reads a metric that tells levels.
func (r *metricResource) levelOf(m pmetric.Metric, rules []levelRule) {
	for i := range rules {
		rule := &rules[i]
		points(m, func(p pmetric.NumberDataPoint, v float64) { r.tell(rule, p.Attributes(), v, p.Timestamp()) })
	}
}

// tell takes in one point.
func (r *metricResource) tell(rule *levelRule, attrs pcommon.Map, v float64, at pcommon.Timestamp) {
	if !(v >= 0) || math.IsInf(v, 1) {
		return
	}
	for i := range rule.only {
		if !rule.only[i].holds(attrs) {
			return
		}
	}
	if rule.kind == report.LevelDisk && !r.holdsData(attrs) {
		return
	}
	l := r.levelFor(rule, attrs)
	if l == nil {
		return
	}
	if rule.scale != 0 {
		v *= rule.scale
	}
	if rule.part == partShare {
		v = max(v, l.parts[partShare])
	} else {
		v += l.parts[rule.part]
	}
	l.parts[rule.part] = v
	l.told |= 1 << rule.part
	l.at = max(l.at, at)
}

// levelFor finds what has been told so far of the thing that a point is about.
func (r *metricResource) levelFor(rule *levelRule, attrs pcommon.Map) *level {
	src, address := r.owner(rule.whose, attrs)
	if src == nil && address == "" {
		return nil
	}
	of := ""
	for _, name := range rule.of {
		if of = word(attrs, name); of != "" {
			break
		}
	}
	key := levelKey{src, address, rule.kind, of, rule.also}
	i, known := r.levelAt[key]
	if !known {
		if len(r.levels) == maxLevels {
			return nil
		}
		if r.levelAt == nil {
			r.levelAt = map[levelKey]int{}
		}
		i = len(r.levels)
		r.levelAt[key] = i
		r.levels = append(r.levels, level{levelKey: key})
	}
	return &r.levels[i]
}

// holdsData says whether a point is about a file system that can fill up, and is
// not full by its nature or a view of another.
func (r *metricResource) holdsData(attrs pcommon.Map) bool {
	if word(attrs, "mode") == "ro" {
		return false
	}
	for _, name := range [...]string{"type", "fstype"} {
		if pseudo(word(attrs, name)) {
			return false
		}
	}
	if strings.HasPrefix(word(attrs, "device"), "/dev/loop") {
		return false
	}
	volume, _ := r.attrs.Get("k8s.volume.type")
	switch volume.Str() {
	case "configMap", "secret", "projected", "downwardAPI", "image":
		return false
	}
	return true
}

// pseudo says whether a file system holds no data of its own. What lies in an
// overlay fills the file system under it.
func pseudo(fs string) bool {
	switch fs {
	case "squashfs", "iso9660", "udf", "erofs", "cramfs", "proc", "sysfs", "devtmpfs", "ramfs", "rootfs", "overlay", "autofs",
		"nsfs", "cgroup", "cgroup2", "efivarfs", "tracefs", "debugfs", "configfs", "bpf", "rpc_pipefs":
		return true
	}
	return strings.HasPrefix(fs, "fuse") && fs != "fuseblk"
}

// finishLevels adds the levels that were told.
func (r *metricResource) finishLevels() {
	for i := range r.levels {
		l := &r.levels[i]
		key := mixString(mixString(mix(3, uint64(l.kind)), l.of), l.also)
		if l.src != nil {
			key = mixString(mix(key, l.src.Key), l.src.Host)
		}
		key = mixString(mixString(key, l.address), r.id.podUID+r.id.containerID)
		if l.at == 0 {
			l.at = pcommon.Timestamp(r.now)
		}
		var added [numParts]float64
		var over float64
		known := uint16(0)
		for p := range numParts {
			if l.told&cumulative>>p&1 == 0 {
				continue
			}
			a, d, ok := r.x.meters.since(mix(key, uint64(p)), l.parts[p], l.at, r.now)
			if ok {
				added[p], over = a, d.Seconds()
				known |= 1 << p
			}
		}
		if known>>partPeriods&1 != 0 && over > 0 {
			r.rememberCores(l, added[partPeriods]/over)
		}
		if !l.has(partLimit) && l.has(partUsed) {
			r.remembered(l)
		}
		out := report.Level{Source: l.src, Address: l.address, Kind: l.kind, At: r.now, Waiting: l.parts[partWaiting], Share: -1}
		used, limit := l.parts[partUsed], l.parts[partLimit]
		if !l.has(partUsed) {
			used = l.parts[partHeld]
		}
		switch {
		case l.kind == report.LevelRunQueue:
			out.Share = r.queued(l)
		case l.has(partShare):
			out.Share = l.parts[partShare]
		case l.has(partSlice):
			if l.parts[partSlice] <= wholeMost {
				out.Share = l.parts[partSlice]
			}
		case limit >= unlimited:
		case limit > 0 && (l.has(partUsed) || l.has(partHeld)):
			out.Share = used / limit
		case limit > 0 && l.has(partFree):
			out.Share = max(1-l.parts[partFree]/limit, 0)
		case l.has(partFree) && l.has(partHeld):
			out.Share = used / max(l.parts[partHeld]+l.parts[partFree], 1)
		case l.has(partFree) && l.has(partUsed):
			out.Share = used / max(used+l.parts[partFree], 1)
		case known>>partPeriods&1 != 0 && added[partPeriods] > 0 && known>>partAffected&1 != 0:
			out.Share = min(added[partAffected]/added[partPeriods], 1)
		case known>>partBusy&1 != 0 && over > 0:
			out.Share = min(added[partBusy]/over, 1)
		}
		if added[partWaits] > 0 {
			out.Waiting = max(out.Waiting, added[partWaits])
			if l.kind == report.LevelConnections {
				out.Share = 1 // it turned some away
			}
		}
		if added[partEase] > 0 || added[partWork] > 0 && added[partWorkTime]/added[partWork] < slowOperation {
			out.Share = min(out.Share, 0)
		}
		if out.Share >= 0 || out.Waiting > 0 {
			r.fullest(&out)
		}
	}
}

// queued is the share of the tasks that want a processor and wait for one: of those
// that a load average counts beyond the processors that there are. -1 where nobody
// told how many these are.
func (r *metricResource) queued(l *level) float64 {
	cores := l.parts[partLimit]
	if !l.has(partLimit) {
		n, known := r.x.state(coresOf(l.src))
		if !known {
			return -1
		}
		cores = float64(n)
	}
	if !l.has(partUsed) || cores < 1 {
		return -1
	}
	return max(1-cores/max(l.parts[partUsed], cores), 0)
}

// rememberCores: the processors of a host spend as many seconds a second as there
// are of them.
func (r *metricResource) rememberCores(l *level, spent float64) {
	if l.kind == report.LevelCPU && l.src != nil && l.src.Key == 0 && l.src.Host != "" && spent >= 0.9 {
		r.x.changed(coresOf(l.src), int64(math.Round(spent)))
	}
}

func coresOf(host *report.Source) stateID {
	return stateID{pod: podKey{container: host.Host}, what: "processors"}
}

// fullest keeps of all that a resource tells of one kind the one that is fullest.
func (r *metricResource) fullest(l *report.Level) {
	all := r.out.Levels[r.firstLevel:]
	for i := range all {
		if k := &all[i]; k.Source == l.Source && k.Address == l.Address && k.Kind == l.Kind {
			k.Share, k.Waiting = max(k.Share, l.Share), max(k.Waiting, l.Waiting)
			return
		}
	}
	r.out.Levels = append(r.out.Levels, *l)
}

// remembered fills in a limit that another resource told: a database tells its own, and
// what is used by database; the receiver k8s_cluster a container's, and the kubelet what
// it uses.
func (r *metricResource) remembered(l *level) {
	if id, ok := r.limitOf(l); ok {
		if limit, known := r.x.state(id); known {
			l.parts[partLimit] = float64(limit) / limitScale
			l.told |= 1 << partLimit
		}
	}
}

// remember keeps limits for remembered.
func (r *metricResource) remember() {
	for i := range r.levels {
		l := &r.levels[i]
		if limit := l.parts[partLimit]; l.has(partLimit) && limit < unlimited/limitScale {
			if id, ok := r.limitOf(l); ok {
				r.x.changed(id, int64(limit*limitScale))
			}
		}
	}
}

// limitScale: a limit may be a part of a processor.
const limitScale = 1000

// limitOf is the state in which the limit of a server, or of a container, is kept.
func (r *metricResource) limitOf(l *level) (id stateID, ok bool) {
	id.what = "limit " + l.kind.String()
	switch {
	case l.address != "":
		id.pod.container = l.address
	case l.kind == report.LevelCPU && r.id.podUID != "" && r.id.container != "" && r.id.name == "":
		id.pod = podKey{r.id.podUID, r.id.container}
	default:
		return id, false
	}
	return id, true
}

// gcRule: a collection's pauses are seconds in which nothing else runs.
var gcRule = levelRule{kind: report.LevelGC, part: partBusy}

// gcMetrics time the collections of a runtime, with what to multiply by to get
// seconds.
var gcMetrics = map[string]float64{
	"jvm.gc.duration":                              1,
	"process.runtime.jvm.gc.duration":              1e-3,
	"jvm_gc_duration_seconds":                      1,
	"jvm_gc_pause_seconds":                         1,
	"v8js_gc_duration_seconds":                     1,
	"process_runtime_jvm_gc_duration_milliseconds": 1e-3,
	"jvm.gc.pause":                                 1e-3,
	"jvm_gc_collection_seconds":                    1,
	"v8js.gc.duration":                             1,
	"nodejs_gc_duration_seconds":                   1,
}

// collections reads how long garbage was collected. What runs beside the program
// stops nobody.
func (r *metricResource) collections(m pmetric.Metric) {
	rule := gcRule
	rule.scale = gcMetrics[m.Name()]
	take := func(attrs pcommon.Map, sum float64, at pcommon.Timestamp) {
		for _, name := range [...]string{"jvm.gc.name", "jvm_gc_name", "name", "gc", "jvm.gc.action", "jvm_gc_action", "action"} {
			if s := word(attrs, name); strings.Contains(s, "oncurrent") || strings.Contains(s, "Cycles") || strings.Contains(s, "of cycle") {
				return
			}
		}
		r.tell(&rule, attrs, sum, at)
	}
	switch m.Type() {
	case pmetric.MetricTypeHistogram:
		for i := range m.Histogram().DataPoints().Len() {
			p := m.Histogram().DataPoints().At(i)
			take(p.Attributes(), p.Sum(), p.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for i := range m.Summary().DataPoints().Len() {
			p := m.Summary().DataPoints().At(i)
			take(p.Attributes(), p.Sum(), p.Timestamp())
		}
	}
}
