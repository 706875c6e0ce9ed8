package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

// faultKinds are the kinds of faults, with what they do.
var faultKinds = [][2]string{
	{driveserver.FaultError, "answers with --code and does nothing"},
	{driveserver.FaultErrorAfter, "the same, but what was asked for is done"},
	{driveserver.FaultDrop, "cuts the connection and does nothing"},
	{driveserver.FaultDropAfter, "does it, then cuts the connection without an answer"},
	{driveserver.FaultDropInside, "does it, then cuts the connection in the middle of the answer"},
	{driveserver.FaultDelay, "waits for --delay first"},
	{driveserver.FaultStall, "answers nothing until the client goes away"},
	{driveserver.FaultTruncate, "cuts a download after --bytes"},
	{driveserver.FaultShort, "ends a download cleanly after --bytes"},
	{driveserver.FaultCorrupt, "changes the byte at --bytes of a download"},
	{driveserver.FaultIgnoreRange, "sends the whole file for a part"},
	{driveserver.FaultLoseUpload, "forgets a resumable upload (--code 404 or 410)"},
	{driveserver.FaultKeepFewer, "keeps only --bytes of a chunk"},
	{driveserver.FaultHideRange, "does not say how far an upload is"},
	{driveserver.FaultShortPage, "gives at most --bytes entries on a page"},
	{driveserver.FaultDeadToken, "refuses the tokens of page --bytes and later"},
	{driveserver.FaultIncomplete, "says that a list is incomplete"},
	{driveserver.FaultOrEmpty, "finds nothing in a list over several folders"},
	{driveserver.FaultEmptyList, "finds nothing in a list"},
	{driveserver.FaultTwice, "gives the entries of the change feed twice"},
	{driveserver.FaultReverse, "gives the entries of the change feed in reverse"},
	{driveserver.FaultTwin, "does a create without an id of its own twice"},
}

func (d *localDrive) faultCmd() *cobra.Command {
	return group("fault", "Make things go wrong on demand",
		"  syftfs drive fault add --kind error --code 429 --retry-after 2 --method files.list --count 5\n  syftfs drive fault list\n  syftfs drive fault remove --all",
		d.faultAdd(), d.faultList(), d.faultRemove())
}

func (d *localDrive) faultAdd() *cobra.Command {
	var r driveserver.Rule
	var from, until string
	var delay time.Duration
	kinds := ""
	for _, k := range faultKinds {
		kinds += fmt.Sprintf("\n  %-13s %s", k[0], k[1])
	}
	c := &cobra.Command{Use: "add --kind KIND", Short: "Add a rule that spoils requests", Args: exactly(0),
		Long: "add makes a rule. It spoils the requests that meet all its conditions; of several rules the first that fires decides. With --probability the dice are\n" +
			"the same for the same --seed. Rules end with the server. Kinds:" + kinds,
		Example: "  syftfs drive fault add --kind drop-after --method files.create --user owen@lab.example --after 3 --count 1\n" +
			"  syftfs drive fault add --kind error --code 503 --probability 0.2 --seed 7 --until 10m",
		RunE: func(c *cobra.Command, _ []string) error {
			if r.Action.Kind == "" {
				return usage{fmt.Errorf("say what goes wrong: --kind KIND (see `%s --help`)", c.CommandPath())}
			}
			if r.Skip < 0 || r.Count < 0 || r.Action.RetryAfter < 0 {
				return usage{fmt.Errorf("--after, --count and --retry-after are 0 or more")}
			}
			var err error
			if r.From, err = moment("from", from); err != nil {
				return err
			}
			if r.Until, err = moment("until", until); err != nil {
				return err
			}
			r.Action.Delay = delay.Milliseconds()
			made, err := tell[struct {
				ID string `json:"id"`
			}](c.Context(), d, http.MethodPost, "faults", r)
			if err != nil {
				return err
			}
			r.ID = made.ID
			return d.show(r, func(w io.Writer) { fmt.Fprintf(w, "Fault %s: %s\n", r.ID, clean(describeRule(r), false)) })
		}}
	f := c.Flags()
	f.StringVar(&r.Action.Kind, "kind", "", "what goes wrong")
	f.StringVar(&r.User, "user", "", "only requests of this account")
	f.StringVar(&r.Method, "method", "", "only this method, as drive stats shows it; * and ? stand for any")
	f.StringVar(&r.Path, "path", "", "only where the path holds this")
	f.StringVar(&r.Query, "query", "", "only where the decoded query holds this")
	f.StringVar(&from, "from", "", "not before: a time (RFC 3339), or a duration from now")
	f.StringVar(&until, "until", "", "not after: a time (RFC 3339), or a duration from now")
	f.IntVar(&r.Skip, "after", 0, "so many that meet the conditions pass first")
	f.IntVar(&r.Count, "count", 0, "so often at most (0: no bound)")
	f.Float64Var(&r.Probability, "probability", 0, "for this part of them, 0 to 1 (0: all)")
	f.Uint64Var(&r.Seed, "seed", 0, "of the dice for --probability")
	f.IntVar(&r.Action.Code, "code", 0, "status of an error, 400 to 599 (0: 503)")
	f.StringVar(&r.Action.Reason, "reason", "", "reason of an error (default: the usual one)")
	f.StringVar(&r.Action.Message, "message", "", "message of an error (default: the usual one)")
	f.IntVar(&r.Action.RetryAfter, "retry-after", 0, "seconds that an error asks to wait (0: it says nothing)")
	f.BoolVar(&r.Action.HTML, "html", false, "an error is a web page, as front ends send it")
	f.DurationVar(&delay, "delay", 0, "of the kind delay")
	f.Int64Var(&r.Action.Bytes, "bytes", 0, "number of the kinds that need one")
	return c
}

// moment reads a time, or a duration from now; "" is none.
func moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usage{fmt.Errorf("--%s %q is neither a time such as 2026-07-01T12:00:00Z nor a duration such as 30s", flag, s)}
	}
	return t, nil
}

// describeRule is a rule in a line.
func describeRule(r driveserver.Rule) string {
	words := []string{r.Action.Kind}
	add := func(is bool, format string, v any) {
		if is {
			words = append(words, fmt.Sprintf(format, v))
		}
	}
	add(r.Action.Code != 0, "%d", r.Action.Code)
	add(r.Action.Reason != "", "%s", r.Action.Reason)
	add(r.Action.RetryAfter != 0, "retry after %d s", r.Action.RetryAfter)
	add(r.Action.HTML, "%s", "as a page")
	add(r.Action.Delay != 0, "by %s", time.Duration(r.Action.Delay)*time.Millisecond)
	add(r.Action.Bytes != 0, "at %d", r.Action.Bytes)
	add(r.Method != "", "in %s", r.Method)
	add(r.User != "", "of %s", r.User)
	add(r.Path != "", "where the path holds %s", r.Path)
	add(r.Query != "", "where the query holds %s", r.Query)
	add(!r.From.IsZero(), "from %s", r.From.Local().Format(time.DateTime))
	add(!r.Until.IsZero(), "until %s", r.Until.Local().Format(time.DateTime))
	add(r.Skip != 0, "after %d", r.Skip)
	add(r.Count != 0, "%d times at most", r.Count)
	add(r.Probability != 0, "with probability %v", r.Probability)
	return strings.Join(words, " ")
}

func (d *localDrive) faultList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the rules, and how often each was met", Example: "  syftfs drive fault list", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := tell[[]driveserver.RuleState](c.Context(), d, http.MethodGet, "faults", nil)
			if err != nil {
				return err
			}
			return d.show(append([]driveserver.RuleState{}, all...), func(w io.Writer) {
				rows := [][]string{{"ID", "MET", "FIRED", "RULE"}}
				for _, r := range all {
					rows = append(rows, []string{r.ID, strconv.Itoa(r.Seen), strconv.Itoa(r.Fired), describeRule(r.Rule)})
				}
				table(w, rows)
			})
		}}
}

func (d *localDrive) faultRemove() *cobra.Command {
	var all bool
	c := &cobra.Command{Use: "remove ID | --all", Short: "Remove a rule, or all", Args: between(0, 1),
		Example: "  syftfs drive fault remove 3\n  syftfs drive fault remove --all",
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usage{fmt.Errorf("say which: %s", c.UseLine())}
			}
			path, what := "faults", "all faults"
			if !all {
				path, what = path+"/"+url.PathEscape(args[0]), "fault "+args[0]
			}
			if _, err := tell[struct{}](c.Context(), d, http.MethodDelete, path, nil); err != nil {
				return d.missing(err, what, "fault list")
			}
			return d.show(map[string]string{"removed": what}, func(w io.Writer) { fmt.Fprintln(w, "Removed", clean(what, false)) })
		}}
	c.Flags().BoolVar(&all, "all", false, "all of them")
	return c
}
