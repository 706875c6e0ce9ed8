package wire

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Time is a moment as the format has it: seconds since 1970, UTC, as a double. Names and JSON must hold the same double, so it
// is not converted on its way. It is the sender's clock, unchecked: a decoder gives what it read.
type Time float64

// maxTime is 5138-11-16: beyond it a double no longer tells microseconds apart.
const maxTime Time = 1e11

// TimeOf is t, to the microsecond.
func TimeOf(t time.Time) Time { return Time(float64(t.UnixMicro()) / 1e6) }

// ParseTime reads the time of a name: digits, a point, digits. Python's float reads more than that; nobody writes it.
func ParseTime(s string) (Time, error) {
	whole, fraction, ok := strings.Cut(s, ".")
	if !ok || len(s) > 40 || !digits(whole) || !digits(fraction) {
		return 0, formatf("%s is not a time in seconds with a fraction", quote(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, formatf("%s is not a time", quote(s))
	}
	t := Time(f)
	return t, t.check()
}

// String is Python's spelling: the shortest decimal that reads back as the same double, always with a fraction.
func (t Time) String() string {
	s := strconv.FormatFloat(float64(t), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Time is t to the nearest nanosecond.
func (t Time) Time() time.Time {
	whole, fraction := math.Modf(float64(t))
	return time.Unix(int64(whole), int64(math.Round(fraction*1e9))).UTC()
}

// Next is the time of a message written now by someone whose last one was of time t: later than t even if the clock stepped
// back, in microseconds, with a last digit that is not 0. So every name has six digits after the point, and names sort as times do.
func (t Time) Next(now time.Time) Time {
	micro := now.UnixMicro()
	if last := int64(math.Ceil(float64(t) * 1e6)); micro <= last {
		micro = last + 1
	}
	if micro%10 == 0 {
		micro++
	}
	next := Time(float64(micro) / 1e6)
	for next <= t { // what is no microsecond was rounded
		micro++
		if micro%10 == 0 {
			micro++
		}
		next = Time(float64(micro) / 1e6)
	}
	return next
}

// check refuses what is no time of this format.
func (t Time) check() error {
	if !(t >= 0 && t < maxTime) { // NaN too
		return formatf("%v is not a time", float64(t))
	}
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
