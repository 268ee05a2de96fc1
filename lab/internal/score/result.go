// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import "encoding/json"

// Result is everything that is known about a run. Shares are 0-1 and 0 where
// there was nothing to share; durations are in seconds.
type Result struct {
	Faults      int              `json:"faults"`      // that were made and can be seen
	Confounders int              `json:"confounders"` // that were made
	NotMade     int              `json:"not_made"`    // injections that could not be made
	Hidden      Hidden           `json:"hidden"`
	BothSides   Moments          `json:"both_sides"`
	OneSided    Moments          `json:"one_sided"`
	Delays      map[string]Delay `json:"delays"` // by class and by "class/subclass"
	Verdicts    Verdicts         `json:"verdicts"`
	False       map[string]False `json:"false"` // "confounders", "clean"
	Leave       Leave            `json:"leave"`
	Spans       Spans            `json:"spans"`
	First       Calibration      `json:"calibration_first"` // the first class that a verdict named
	Final       Calibration      `json:"calibration_final"` // the last one
	Events      map[string]int   `json:"other_events"`      // events that are no verdicts
	Missed      []Miss           `json:"missed"`            // what was not right 60 s after the end
	Problems    []string         `json:"problems,omitempty"`
	MoreProblem int              `json:"more_problems,omitempty"`
}

// Hidden counts the faults that nothing observable shows: silence is right.
type Hidden struct {
	Faults  int `json:"faults"`
	Silent  int `json:"silent"`
	Unknown int `json:"unknown"`
	Right   int `json:"right"` // named, class and culprit, against expectation
	Wrong   int `json:"wrong"`
}

// Moments are the three times at which a fault's verdict is looked at.
type Moments struct {
	First   Moment `json:"first"`   // the first class named; unknown if there never was one
	After30 Moment `json:"after30"` // as it stood 30 s after the fault was taken back
	After60 Moment `json:"after60"`
}

// Moment is how faults were judged at one time.
type Moment struct {
	Count
	Classes       map[string]*Count         `json:"classes"`
	Confusion     map[string]map[string]int `json:"confusion"`          // [class injected][class named]
	SubclassTable map[string]map[string]int `json:"subclass_confusion"` // [class/subclass][class/subclass]
}

// Count is a row of it. One-sided faults may be right without an answer, all
// others are right only by the right class.
type Count struct {
	Faults       int     `json:"faults"`
	Answered     int     `json:"answered"` // named a class
	Unknown      int     `json:"unknown"`
	Silent       int     `json:"silent"`
	Right        int     `json:"right"`
	RightNamed   int     `json:"right_named"`    // answered with the right class
	RightSub     int     `json:"right_subclass"` // and the right subclass
	CulpritRight int     `json:"culprit_right"`  // answered, with a right culprit
	CulpritBest  int     `json:"culprit_best"`   // and that is the most specific one
	Coverage     float64 `json:"coverage"`       // answered of all
	Accuracy     float64 `json:"accuracy"`       // right class of the answered
	Correct      float64 `json:"correct"`        // right of all
	Culprit      float64 `json:"culprit"`        // right culprit of the answered
}

// Delay is how long verdicts took.
type Delay struct {
	Faults            int       `json:"faults"`
	FromStart         Quantiles `json:"from_start"`          // of the fault, to the first class named
	FromEvidence      Quantiles `json:"from_evidence"`       // arrival of the first evidence, to the first class named
	RightFromStart    Quantiles `json:"right_from_start"`    // to the first right class with a right culprit
	RightFromEvidence Quantiles `json:"right_from_evidence"` // the same
}

// Quantiles of N values in seconds, by nearest rank.
type Quantiles struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
}

// Verdicts counts verdicts, whatever they are about, each on one entity.
type Verdicts struct {
	All          int `json:"all"`
	NeverNamed   int `json:"never_named"`   // unknown from beginning to end
	UnknownFirst int `json:"unknown_first"` // unknown that became a class
	WrongCulprit int `json:"wrong_culprit"` // named a class during a fault, on somebody whom it does not concern
}

// False counts classes that were named while nothing was broken.
type False struct {
	Count   int            `json:"count"`
	Unknown int            `json:"unknown"` // verdicts that never named a class
	Hours   float64        `json:"hours"`
	PerHour float64        `json:"per_hour"`
	ByName  map[string]int `json:"by_name"` // of the confounder
}

// Leave is how long verdicts stayed.
type Leave struct {
	AfterEnd      Quantiles `json:"after_end"`      // of the fault
	AfterRecovery Quantiles `json:"after_recovery"` // end of the last call that the fault hurt, if that is later
	Early         int       `json:"early"`          // cleared while the fault lasted
	Never         int       `json:"never"`          // still held when the run ended
}

// Spans is how spans were tagged.
type Spans struct {
	Seen        int     `json:"seen"`
	Tagged      int     `json:"tagged"`       // carry a class other than unknown
	TaggedHurt  int     `json:"tagged_hurt"`  // and a fault hurt them
	Unknown     int     `json:"unknown"`      // carry unknown
	Hurt        int     `json:"hurt"`         // by a fault, while it lasted and until the fleet had recovered
	HurtRight   int     `json:"hurt_right"`   // and carry the right class and culprit
	FromVerdict int     `json:"from_verdict"` // hurt, from 3 s before the verdict on
	FromRight   int     `json:"from_right"`   // and carry the right class and culprit
	SpanRecall          // of FromVerdict
	Recall      float64 `json:"recall"`
	WholeRecall float64 `json:"whole_recall"`
	Precision   float64 `json:"precision"`

	ByName    map[string]*SpanRecall `json:"by_name"`    // of the fault; of FromVerdict
	WrongTags map[string]int         `json:"wrong_tags"` // spans that carry a class and that no fault hurt, by what was done meanwhile and the tag
}

// SpanRecall counts hurt spans, and those of them that carry the right class and
// culprit.
type SpanRecall struct {
	Failed       int `json:"failed"`
	FailedRight  int `json:"failed_right"`
	Slow         int `json:"slow"` // slower than the clean p99, and not failed
	SlowRight    int `json:"slow_right"`
	Answers      int `json:"answers"` // of a byzantine, neither failed nor slow
	AnswersRight int `json:"answers_right"`
}

// Calibration compares confidence with what came true. A verdict is right if
// its class and its culprit are.
type Calibration struct {
	Verdicts int     `json:"verdicts"`
	Brier    float64 `json:"brier"` // mean of (confidence - right)²
	// ECE is the expected calibration error: the bins' |right - confidence|,
	// weighted by their sizes.
	ECE  float64 `json:"ece"`
	Bins [10]Bin `json:"bins"` // of 0.1; the last holds 1, too
}

// Bin holds verdicts of like confidence.
type Bin struct {
	From       float64 `json:"from"`
	Verdicts   int     `json:"verdicts"`
	Confidence float64 `json:"confidence"` // mean
	Right      float64 `json:"right"`      // share
}

// Miss is a fault that was not judged right, or a class where none was due.
type Miss struct {
	Injection string `json:"injection"`
	Name      string `json:"name"`
	Want      string `json:"want"`
	Got       string `json:"got"`
}

// JSON is r as an indented document that ends in a newline.
func (r Result) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}
