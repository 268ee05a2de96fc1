// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/score"
)

// tell prints the line of an injection: what was done, what was said, and
// whether that was right.
func (r *runner) tell(number int, parts []fault.Part, ins []ledger.Injection) {
	said := slices.DeleteFunc(slices.Clone(r.ears.said), func(v score.Verdict) bool { return v.At.Before(ins[0].Start) })
	var done []string
	for i, in := range ins {
		what := in.Name + " " + target(parts[i])
		if in.Failed != "" {
			what += " FAILED: " + in.Failed
		}
		done = append(done, strings.TrimSpace(what))
	}
	r.say("[%d/%d] %s: %s: %s", number, r.total, strings.Join(done, " + "), judged(ins, said), heard(said, ins[0].Start))
}

// judged says whether what was said is right, as the score will.
func judged(ins []ledger.Injection, said []score.Verdict) string {
	res := score.Judge(ins, said, nil, nil)
	m := res.BothSides.After60
	if res.Faults > 0 && m.Faults == 0 {
		m = res.OneSided.After60
	}
	var words []string
	switch wrong := len(res.Missed); {
	case res.NotMade > 0:
		words = append(words, "not scored")
	case wrong > 0:
		words = append(words, fmt.Sprintf("WRONG, wanted %s", res.Missed[0].Want))
	case m.CulpritRight < m.Answered:
		words = append(words, fmt.Sprintf("right class, WRONG CULPRIT, wanted %v", ins[0].Culprits))
	default:
		words = append(words, "right")
	}
	if n := res.Verdicts.WrongCulprit; n > 0 {
		words = append(words, fmt.Sprintf("%d verdicts on others", n))
	}
	return strings.Join(words, ", ")
}

// maxSaid bounds the verdicts of a line.
const maxSaid = 8

// heard lists what was said from a time on, in its order.
func heard(said []score.Verdict, from time.Time) string {
	var words []string
	last := ""
	for _, v := range said {
		if v.At.Before(from) || !strings.HasPrefix(v.Event, "failure.") {
			continue
		}
		word := strings.TrimPrefix(v.Event, "failure.")
		if v.Subclass != "" {
			word += " " + v.Class + "/" + v.Subclass
		} else {
			word += " " + v.Class
		}
		word += " of " + who(v.Culprit)
		if v.Role != "" && v.Role != "culprit" {
			word += " (" + v.Role + ")"
		}
		if word == last {
			continue
		}
		last = word
		words = append(words, fmt.Sprintf("%s %.2f at %.1fs", word, v.Confidence, v.At.Sub(from).Seconds()))
	}
	switch n := len(words); {
	case n == 0:
		return "nothing said"
	case n > maxSaid:
		words = append(append(words[:maxSaid-2], fmt.Sprintf("… %d more", n-maxSaid)), words[n-2:]...)
	}
	return strings.Join(words, "; ")
}

func who(c ledger.Culprit) string {
	word := c.Type
	for _, name := range []string{c.Name, c.Instance, c.Service} {
		if name != "" {
			return strings.TrimSpace(word + " " + name)
		}
	}
	if word == "" {
		return "nobody"
	}
	return word
}

// since says whether a class was named from a time on.
func since(said []score.Verdict, from time.Time) bool {
	return slices.ContainsFunc(said, func(v score.Verdict) bool {
		return !v.At.Before(from) && v.Class != "" && v.Class != "unknown"
	})
}

func target(p fault.Part) string {
	if p.Target == "" && len(p.Culprits) > 0 {
		return who(p.Culprits[0])
	}
	return p.Target
}
