package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

// setting is one switch of a drive: a flag that reads and writes a field.
type setting struct {
	name  string
	value interface {
		String() string
		Set(string) error
		Type() string
	}
	usage string
}

// settings are the switches of sw, in the order in which they are shown.
func settings(sw *driveserver.Switches) []setting {
	return []setting{
		{"clock-offset", (*millis)(&sw.ClockOffset), "added to every time that the server shows"},
		{"token-life", (*millis)(&sw.TokenLife), "of access tokens (0: an hour)"},
		{"lag-names", (*millis)(&sw.Lag.Names), "how late searches by name and properties are"},
		{"lag-parents", (*millis)(&sw.Lag.Parents), "how late lists of a folder are, for others' changes"},
		{"lag-shared", (*millis)(&sw.Lag.Shared), "how late \"shared with me\" is"},
		{"lag-changes", (*millis)(&sw.Lag.Changes), "how late the change feed is"},
		{"units-per-minute", (*number)(&sw.UnitsPerMinute), "quota units of each account (0: no bound; Google: 325000)"},
		{"requests-per-minute", (*number)(&sw.RequestsPerMinute), "requests of each account (0: no bound)"},
		{"strict-contains", (*toggle)(&sw.StrictContains), "name contains: the words must follow each other"},
		{"exact-names", (*toggle)(&sw.ExactNames), "name = minds the case"},
		{"refuse-regrant", (*toggle)(&sw.RefuseRegrant), "sharing a second time with somebody is an error"},
		{"known-grantees-only", (*toggle)(&sw.KnownGranteesOnly), "sharing with an address without an account is an error"},
		{"duplicate-reason", (*toggle)(&sw.DuplicateReason), "a used id is \"duplicate\", not \"fileIdInUse\""},
		{"each-change", (*toggle)(&sw.EachChange), "the change feed shows every change of an item, not the last"},
		{"folder-changes-only", (*toggle)(&sw.FolderChangesOnly), "sharing or moving a folder is no change of what is in it"},
		{"empty-for-unknown-parent", (*toggle)(&sw.EmptyForUnknownParent), "a list of an unknown folder is empty, not an error"},
		{"error-details", (*toggle)(&sw.ErrorDetails), "errors carry status and details"},
		{"auto-consent", (*toggle)(&sw.AutoConsent), "the consent page asks nobody; for tests only"},
	}
}

func (d *localDrive) switchCmd() *cobra.Command {
	var typed driveserver.Switches
	var reset bool
	c := &cobra.Command{Use: "switch", Short: "Show or set how the local drive behaves", Args: exactly(0),
		Long: "switch shows all switches, after setting those that are named. They are for what Google does differently at times (late lists, wrong clocks, quota),\n" +
			"and they stay set when the server is started again.",
		Example: "  syftfs drive switch\n  syftfs drive switch --lag-names 5s --clock-offset -48h\n  syftfs drive switch --reset",
		RunE: func(c *cobra.Command, _ []string) error {
			var sw driveserver.Switches
			change := reset
			if !reset {
				var err error
				if sw, err = tell[driveserver.Switches](c.Context(), d, http.MethodGet, "switches", nil); err != nil {
					return err
				}
			}
			for _, s := range settings(&sw) {
				if f := c.Flag(s.name); f.Changed {
					change = true
					if err := s.value.Set(f.Value.String()); err != nil {
						return err
					}
				}
			}
			if change {
				if _, err := tell[driveserver.Switches](c.Context(), d, http.MethodPut, "switches", sw); err != nil {
					return err
				}
			}
			return d.show(sw, func(w io.Writer) {
				var rows [][]string
				for _, s := range settings(&sw) {
					rows = append(rows, []string{s.name, s.value.String(), s.usage})
				}
				table(w, rows)
			})
		}}
	for _, s := range settings(&typed) {
		c.Flags().Var(s.value, s.name, s.usage)
		if s.value.Type() == "bool" {
			c.Flag(s.name).NoOptDefVal = "true"
		}
	}
	c.Flags().BoolVar(&reset, "reset", false, "set all that are not named to their defaults")
	return c
}

// millis is a number of milliseconds that is typed as a duration.
type millis int64

func (m *millis) String() string { return (time.Duration(*m) * time.Millisecond).String() }
func (m *millis) Type() string   { return "duration" }
func (m *millis) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("say a duration such as 5s or -48h")
	}
	*m = millis(d.Milliseconds())
	return nil
}

// number is a bound, 0 for none.
type number int64

func (n *number) String() string { return strconv.FormatInt(int64(*n), 10) }
func (n *number) Type() string   { return "number" }
func (n *number) Set(s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("say a number")
	}
	*n = number(v)
	return nil
}

// toggle is on or off.
type toggle bool

func (t *toggle) String() string { return strconv.FormatBool(bool(*t)) }
func (t *toggle) Type() string   { return "bool" }
func (t *toggle) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("say true or false")
	}
	*t = toggle(v)
	return nil
}
