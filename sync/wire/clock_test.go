package wire

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTimeAsPython: testdata/python-floats.txt holds doubles in hexadecimal beside what Python's repr makes of them.
func TestTimeAsPython(t *testing.T) {
	text, err := os.ReadFile("testdata/python-floats.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		hex, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		f, err := strconv.ParseFloat(hex, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := Time(f).String(); got != want {
			t.Errorf("%s is %s, Python writes %s", hex, got, want)
		}
		if back, err := ParseTime(want); err != nil || back != Time(f) {
			t.Errorf("%s reads as %v, %v", want, back, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Time
		bad  bool
	}{
		{in: "1768224000.120000", want: 1768224000.12},
		{in: "0.0"},
		{in: "99999999999.0", want: 99999999999}, // far away, but the caller's to judge
		{in: "100000000000.0", bad: true},
		{in: "1768224000", bad: true},
		{in: "1768224000.", bad: true},
		{in: ".5", bad: true},
		{in: "1e9", bad: true},
		{in: "1_000.5", bad: true},
		{in: " 1.5", bad: true},
		{in: "-1.5", bad: true},
		{in: "inf", bad: true},
		{in: "nan", bad: true},
		{in: "1.5.5", bad: true},
		{in: "١.٥", bad: true},
		{in: "1." + strings.Repeat("5", 60), bad: true},
		{in: "", bad: true},
	} {
		got, err := ParseTime(tt.in)
		if (err != nil) != tt.bad || !tt.bad && got != tt.want {
			t.Errorf("%q is %v, %v", tt.in, got, err)
		}
	}
}

var sixDigits = regexp.MustCompile(`^[0-9]+\.[0-9]{5}[1-9]$`)

// TestNextNames: whatever the clock does, each time is later than the one before, its name has six digits and sorts after the other.
func TestNextNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := Time(0)
		if rapid.Bool().Draw(t, "by Python") {
			last = Time(rapid.Float64Range(1.7e9, 1.9e9).Draw(t, "last"))
		}
		now := time.UnixMicro(rapid.Int64Range(1.7e15, 1.9e15).Draw(t, "now"))
		for range rapid.IntRange(1, 8).Draw(t, "n") {
			next := last.Next(now)
			if next <= last {
				t.Fatalf("%v after %v", next, last)
			}
			if d := next.Time().Sub(now); now.After(last.Time()) && (d < -2*time.Microsecond || d > 20*time.Microsecond) {
				t.Fatalf("%v is %v off the clock", next, d)
			}
			if !sixDigits.MatchString(next.String()) {
				t.Fatalf("%v has not six digits, the last of them not 0", next)
			}
			if sixDigits.MatchString(last.String()) && next.String() <= last.String() {
				t.Fatalf("%v sorts before %v", next, last)
			}
			last = next
			now = now.Add(time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "step")))
		}
	})
}

func TestNextOfAPoisonedClock(t *testing.T) {
	now := time.Unix(1768224000, 0)
	for _, last := range []Time{2e10, 99999999998, maxTime} {
		if next := last.Next(now); next <= last {
			t.Errorf("%v after %v", next, last)
		}
	}
}

func TestTimeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at"))
		if back := TimeOf(at).Time().Round(time.Microsecond); !back.Equal(at) {
			t.Fatalf("%v comes back as %v", at, back)
		}
		f := Time(rapid.Float64Range(0, math.Nextafter(float64(maxTime), 0)).Draw(t, "f"))
		if back, err := ParseTime(f.String()); len(f.String()) <= 40 && (err != nil || back != f) {
			t.Fatalf("%v comes back as %v", f, back)
		}
	})
}
