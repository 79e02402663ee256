// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// row is one figure: what was measured, what it is held against, and the ratio
// of the two.
type row struct {
	figure    string
	measured  string
	reference string
	ratio     float64
	target    target
}

// target is what a ratio should be. The zero value asks for nothing.
type target struct {
	atLeast, atMost float64
}

func (t target) String() string {
	switch {
	case t.atLeast > 0:
		return "≥ " + trim(t.atLeast)
	case t.atMost > 0:
		return "≤ " + trim(t.atMost)
	default:
		return ""
	}
}

func (t target) metBy(ratio float64) bool {
	return ratio >= t.atLeast && (t.atMost == 0 || ratio <= t.atMost)
}

// trim leaves out the zeros behind a point.
func trim(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// table prints itself as Markdown, aligned to be read as it is too.
type table []row

func (t table) print(w io.Writer) error {
	lines := [][]string{{"figure", "measured", "against", "ratio", "target", ""}}
	for _, r := range t {
		verdict := ""
		if !r.target.metBy(r.ratio) {
			verdict = "missed"
		}
		lines = append(lines, []string{r.figure, r.measured, r.reference, strconv.FormatFloat(r.ratio, 'f', 3, 64), r.target.String(), verdict})
	}
	width := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			line.WriteString("| " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+1))
		}
		line.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				line.WriteString("|" + strings.Repeat("-", w+2))
			}
			line.WriteString("|\n")
		}
		if _, err := io.WriteString(w, line.String()); err != nil {
			return fmt.Errorf("printing the table: %w", err)
		}
	}
	return nil
}

// count shows a number with commas, as in 1,000,000.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
