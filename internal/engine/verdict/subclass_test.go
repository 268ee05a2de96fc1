// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Whoever is told a subclass must find what it means and what to do.
func TestEverySubclassIsOfOneClassAndInTheDocumentation(t *testing.T) {
	of := map[Subclass]Class{}
	for _, c := range [...]Class{ClassCrash, ClassPartition, ClassByzantine, ClassExhaustion} {
		for _, s := range Subclasses(c) {
			if other, twice := of[s]; twice {
				t.Errorf("%s is of %s and of %s", s, other, c)
			}
			of[s] = c
		}
	}
	source, err := os.ReadFile("subclass.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`Subclass = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(declared) != len(of) {
		t.Errorf("%d are declared, %d are of a class", len(declared), len(of))
	}
	page, err := os.ReadFile("../../../docs/reading.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, class := map[Class]string{}, ""
	for _, line := range strings.Split(string(page), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			if c := strings.Trim(cells[1], " `"); c != "" {
				class = c
			}
			rows[Class(class)] += cells[2]
		}
	}
	for _, d := range declared {
		s := Subclass(d[1])
		c, known := of[s]
		if !known {
			t.Errorf("%s is of no class", s)
		}
		if !strings.Contains(rows[c], "`"+string(s)+"`") {
			t.Errorf("docs/reading.md does not say what to do about %s (%s)", c, s)
		}
	}
	if len(Subclasses(ClassUnknown))+len(Subclasses(ClassNone)) > 0 {
		t.Error("what is not known has no subclass")
	}
}
