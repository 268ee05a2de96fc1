// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"fmt"
)

// maxElements is how many heartbeats one request may hold.
const maxElements = 10_000

// elementError says which element of a request is bad, where and why.
type elementError struct {
	Index int    `json:"index"`
	Field string `json:"field,omitempty"`
	Text  string `json:"error"`

	reason reason
}

func (e *elementError) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// decodeBeats reads one heartbeat object or an array of them. It calls good for
// each that is whole, and bad for each that is not; after a flaw in the syntax
// the rest is unread, and bad says so.
func decodeBeats(doc string, b *beat, good func(*beat) *elementError, bad func(*elementError)) {
	sc := scanner{s: doc}
	index := 0
	element := func() bool {
		*b = beat{}
		flaw, err := sc.beat(b)
		if flaw == nil && err == nil {
			flaw = good(b)
		}
		if err != nil {
			flaw = &elementError{Text: err.Error(), reason: reasonInvalid}
		}
		if flaw != nil {
			flaw.Index = index
			bad(flaw)
		}
		index++
		return err == nil
	}
	broken := func(err error) {
		bad(&elementError{Index: index, Text: err.Error(), reason: reasonInvalid})
	}

	if sc.peek() != '[' {
		if element() {
			if sc.peek(); sc.i < len(doc) {
				broken(sc.fail("something follows the object: send several in an array"))
			}
		}
		return
	}
	sc.i++
	if sc.peek() == ']' {
		sc.i++
	} else {
		for {
			if index == maxElements {
				broken(fmt.Errorf("more than %d heartbeats in one request: send the rest in another", maxElements))
				return
			}
			if !element() {
				return
			}
			if sc.peek() == ',' {
				sc.i++
				continue
			}
			if err := sc.take(']', "at the end of the array"); err != nil {
				broken(err)
				return
			}
			break
		}
	}
	if sc.peek(); sc.i < len(doc) {
		broken(sc.fail("something follows the array"))
	}
}

// beat reads one heartbeat object. flaw is what is wrong in it while it could
// be read to its end; err means that it could not.
func (sc *scanner) beat(b *beat) (flaw *elementError, err error) {
	if c := sc.peek(); c != '{' {
		if err := sc.skip(); err != nil {
			return nil, err
		}
		return invalid("", "a heartbeat must be an object such as {\"service\": \"checkout\"}"), nil
	}
	sc.i++
	if sc.peek() == '}' {
		sc.i++
		return invalid("service", "is missing"), nil
	}
	for {
		sc.peek()
		name, odd, err := sc.str()
		if err != nil {
			return nil, err
		}
		if err := sc.take(':', "after a key"); err != nil {
			return nil, err
		}
		problem, err := sc.field(b, name, odd)
		if err != nil {
			return nil, err
		}
		if flaw == nil {
			flaw = problem // the first is enough for a person
		}
		if sc.peek() == ',' {
			sc.i++
			continue
		}
		if err := sc.take('}', "at the end of the heartbeat"); err != nil {
			return nil, err
		}
		break
	}
	if flaw == nil && !b.given(fService) {
		flaw = invalid("service", "is missing")
	}
	return flaw, nil
}

// field reads the value of one field.
func (sc *scanner) field(b *beat, name, odd string) (flaw *elementError, err error) {
	f, known := fieldOf(name)
	if !known || odd != "" {
		if err := sc.skip(); err != nil {
			return nil, err
		}
		return invalid(clip(name), "is not a field of a heartbeat"), nil
	}
	if b.given(f) {
		if err := sc.skip(); err != nil {
			return nil, err
		}
		return invalid(name, "is given twice"), nil
	}
	var text, why string
	switch c := sc.peek(); {
	case c == '"':
		text, why, err = sc.str()
		if f == fExitCode {
			why = "must be a number, not a string"
		}
	case c == '-' || c >= '0' && c <= '9':
		text, err = sc.num()
		if f != fIncarnation && f != fSeq && f != fExitCode && f != fSentAt {
			why = "must be a string, not a number"
			if f == fInterval {
				why += ": write it with a unit, such as \"1s\""
			}
		}
	case c == 'n':
		// Clients that write every member of a struct mean: not given.
		err = sc.literal()
		return nil, err
	default:
		if err := sc.skip(); err != nil {
			return nil, err
		}
		return invalid(name, "must be a string or a number"), nil
	}
	if err != nil {
		return nil, err
	}
	if why != "" {
		return invalid(name, why), nil
	}
	if text == "" && f != fService {
		return nil, nil
	}
	if err := b.put(f, text); err != nil {
		return invalid(name, err.Error()), nil
	}
	return nil, nil
}

func invalid(field, text string) *elementError {
	return &elementError{Field: field, Text: text, reason: reasonInvalid}
}

// clip keeps a name that somebody made up short and printable.
func clip(name string) string {
	q := quote(name)
	if q == `"`+name+`"` {
		return name
	}
	return q
}

func fieldOf(name string) (field, bool) {
	switch name {
	case "service":
		return fService, true
	case "instance":
		return fInstance, true
	case "namespace":
		return fNamespace, true
	case "environment":
		return fEnvironment, true
	case "host":
		return fHost, true
	case "zone":
		return fZone, true
	case "group":
		return fGroup, true
	case "version":
		return fVersion, true
	case "incarnation":
		return fIncarnation, true
	case "seq":
		return fSeq, true
	case "interval":
		return fInterval, true
	case "boot_id":
		return fBootID, true
	case "status":
		return fStatus, true
	case "exit_code":
		return fExitCode, true
	case "digest":
		return fDigest, true
	case "sent_at":
		return fSentAt, true
	case "mac":
		return fMAC, true
	}
	return 0, false
}
