package wire

import (
	"errors"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/openmined/syftfs/perm"
	"pgregory.net/rapid"
)

const uuid = "5b1c7c52-0f3b-4d0e-9d0a-3f1c6a1f7a10"

func TestParseFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		want FileName
		as   string // how it is rendered, if otherwise
	}{
		{name: "msgv2_1768224000.5_" + uuid + ".tar.gz", want: FileName{Kind: ProposalFile, At: 1768224000.5, ID: uuid}},
		{name: "msgv2_1768224000.120000_u.tar.gz", want: FileName{Kind: ProposalFile, At: 1768224000.12, ID: "u"}, as: "msgv2_1768224000.12_u.tar.gz"},
		{name: "msgv2_1768224000_u.tar.gz"},
		{name: "msgv2_1.5_a_b.tar.gz"},
		{name: "msgv2_1.5_.tar.gz"},
		{name: "msgv2_1.5_a/b.tar.gz"},
		{name: "msgv2_1.5.tar.gz"},
		{name: "foo_1.5_x.tar.gz"},
		{name: "msgv2_1.5_u"},
		{name: "syfteventsmessagev3_1.5_" + strings.ToUpper(uuid) + ".tar.gz", want: FileName{Kind: EventsFile, At: 1.5, ID: uuid}, as: "syfteventsmessagev3_1.5_" + uuid + ".tar.gz"},
		{name: "syfteventsmessagev3_1.5_no-uuid.tar.gz"},
		{name: "syfteventsmessagev3_1e9_" + uuid + ".tar.gz"},
		{name: "other_1.5_" + uuid},
		{name: "checkpoint_1.5.tar.gz", want: FileName{Kind: CheckpointFile, At: 1.5}},
		{name: "checkpoint_.tar.gz"},
		{name: "incremental_checkpoint_12_1.5.tar.gz", want: FileName{Kind: IncrementFile, Seq: 12, At: 1.5}},
		{name: "incremental_checkpoint_0_1.5.tar.gz"},
		{name: "incremental_checkpoint_01_1.5.tar.gz"},
		{name: "incremental_checkpoint_-1_1.5.tar.gz"},
		{name: "incremental_checkpoint_99999999999999999999_1.5.tar.gz"},
		{name: "rolling_state_1.5.tar.gz", want: FileName{Kind: RollingFile, At: 1.5}},
		{name: "SYFT_peers.json", want: FileName{Kind: PeersFile}},
		{name: "SYFT_version.json", want: FileName{Kind: VersionFile}},
		{name: "syft_version.json"},
		{name: "encryption_bundle_a_for_b@x.org_for_c@y.org.json", want: FileName{Kind: BundleFile, Of: "a_for_b@x.org", For: "c@y.org"}},
		{name: "encryption_bundle_a@x.org.json"},
		{name: ""}, {name: "my holiday.jpg"},
	} {
		got, err := ParseFile(tt.name)
		if tt.want == (FileName{}) {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q is taken as %+v (%v)", tt.name, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q is %+v (%v)", tt.name, got, err)
		}
		if tt.as == "" {
			tt.as = tt.name
		}
		if got.String() != tt.as {
			t.Errorf("%q renders as %q", tt.name, got)
		}
	}
}

func TestParseFolder(t *testing.T) {
	v := Version{0, 1, 117}
	const a, b = "Rachel.S@datascience.example", "owen@cancer-research.example"
	for _, tt := range []struct {
		name string
		want FolderName
	}{
		{"SyftBox", FolderName{Kind: TopFolder}},
		{"0.1.117#" + a, FolderName{Kind: LogFolder, Version: v, Of: a}},
		{"syft_datasite#0.1.117#" + b + "#inbox#" + a, FolderName{Kind: InboxFolder, Version: v, Of: b, Peer: a}},
		{"syft_datasite#0.1.117#" + b + "#outbox#" + a, FolderName{Kind: OutboxFolder, Version: v, Of: b, Peer: a}},
		{"syft_x_to_y@z.org_to_" + b + "_archive", FolderName{Kind: ArchiveFolder, Peer: "x_to_y@z.org", Of: b}},
		{b + "-0.1.117-checkpoints", FolderName{Kind: CheckpointsFolder, Version: v, Of: b}},
		{b + "-0.1.117-rolling-state", FolderName{Kind: RollingFolder, Version: v, Of: b}},
		{"syft_datasetcollection_heart_study_2026_b6f282ca1820", FolderName{Kind: CollectionFolder, Tag: "heart_study_2026", Hash: "b6f282ca1820"}},
		{"syft_privatecollection_open set_b6f282ca1820", FolderName{Kind: PrivateFolder, Tag: "open set", Hash: "b6f282ca1820"}},
		{"syft_encryption_bundles#" + a, FolderName{Kind: BundlesFolder, Of: a}},
		{"syftbox", FolderName{}},
		{"0.1#" + a, FolderName{}},
		{"0.1.x#" + a, FolderName{}},
		{"0.1.117#o'neil@x.org", FolderName{}},
		{"0.1.117#a@x.org#b@x.org", FolderName{}},
		{"syft_datasite#0.1.117#" + b + "#inbox#" + a + "#", FolderName{}},
		{"syft_datasite#0.1.117#" + b + "#mailbox#" + a, FolderName{}},
		{"syft_datasite#" + b + "#inbox#" + a, FolderName{}},
		{"syft_datasetcollection_b6f282ca1820", FolderName{}},
		{"syft_datasetcollection_x_B6F282CA1820", FolderName{}},
		{"syft_datasetcollection_.._b6f282ca1820", FolderName{}},
		{"syft_datasetcollection_a/b_b6f282ca1820", FolderName{}},
		{"syft_datasetcollection_a\\b_b6f282ca1820", FolderName{}},
		{"syft_datasetcollection_a\x1b[2J_b6f282ca1820", FolderName{}},
		{"syft_a@x.org_archive", FolderName{}},
		{"-checkpoints", FolderName{}},
		{"Photos", FolderName{}}, {"", FolderName{}},
	} {
		got, err := ParseFolder(tt.name)
		if tt.want == (FolderName{}) {
			if !errors.Is(err, ErrName) || got != tt.want {
				t.Errorf("%q is taken as %+v (%v)", tt.name, got, err)
			}
			continue
		}
		if err != nil || got != tt.want || got.String() != tt.name {
			t.Errorf("%q is %+v, rendered %q (%v)", tt.name, got, got, err)
		}
	}
}

// TestFind: the rules of 0.1.117 for folders whose names carry a version.
func TestFind(t *testing.T) {
	me, peer := Address("a@x.org"), Address("b@y.org")
	want, _ := Pair(Version{0, 1, 117}, me, peer)
	if want.String() != "syft_datasite#0.1.117#b@y.org#inbox#a@x.org" {
		t.Fatal(want)
	}
	for _, tt := range []struct {
		what  string
		names []string
		at    int
		twice bool
	}{
		{"none", nil, -1, false},
		{"the same", []string{"x", want.String()}, 1, false},
		{"another patch", []string{"syft_datasite#0.1.93#b@y.org#inbox#a@x.org"}, 0, false},
		{"another minor", []string{"syft_datasite#0.2.117#b@y.org#inbox#a@x.org"}, -1, false},
		{"another major", []string{"syft_datasite#1.1.117#b@y.org#inbox#a@x.org"}, -1, false},
		{"the outbox", []string{"syft_datasite#0.1.117#b@y.org#outbox#a@x.org"}, -1, false},
		{"another peer", []string{"syft_datasite#0.1.117#b@y.org#inbox#aa@x.org"}, -1, false},
		{"other letters", []string{"syft_datasite#0.1.117#B@y.org#inbox#a@x.org"}, -1, false},
		{"turned round", []string{"syft_datasite#0.1.117#a@x.org#inbox#b@y.org"}, -1, false},
		{"two", []string{want.String(), "syft_datasite#0.1.93#b@y.org#inbox#a@x.org"}, -1, true},
		{"the name twice", []string{want.String(), want.String()}, -1, true},
	} {
		at, err := want.Find(tt.names)
		if at != tt.at || errors.Is(err, ErrDuplicate) != tt.twice || (err != nil) != tt.twice {
			t.Errorf("%s: %d, %v", tt.what, at, err)
		}
	}
}

func TestAsks(t *testing.T) {
	me := Address("b@y.org")
	for name, want := range map[string]Address{
		"syft_datasite#0.1.117#b@y.org#inbox#a@x.org": "a@x.org",
		"syft_datasite#9.9.9#b@y.org#outbox#a@x.org":  "a@x.org",
		"syft_datasite#0.1.117#a@x.org#inbox#b@y.org": "", // we asked
		"syft_datasite#0.1.117#b@y.org#inbox#b@y.org": "",
		"syft_a@x.org_to_b@y.org_archive":             "",
	} {
		f, err := ParseFolder(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.Asks(me); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", name, got, ok)
		}
	}
}

func TestFileOrder(t *testing.T) {
	want := []string{
		"msgv2_9.5_b.tar.gz",
		"msgv2_1768224000.12_c.tar.gz", // of one time: the name that sorts later, as a listing in descending order gives it first
		"msgv2_1768224000.12_a.tar.gz",
		"msgv2_1768224000.1234_a.tar.gz", // later, though "_" sorts after "3"
		"incremental_checkpoint_2_9.5.tar.gz",
		"incremental_checkpoint_10_1.5.tar.gz",
	}
	var names []FileName
	for _, s := range want {
		n, err := ParseFile(s)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	rand.New(rand.NewSource(1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	slices.SortFunc(names, FileName.Compare)
	var got []string
	for _, n := range names {
		got = append(got, n.String())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}

func TestAddress(t *testing.T) {
	for s, user := range map[string]perm.User{
		"a@x.org": "a@x.org", "Alice.B+c@Example.ORG": "alice.b+c@example.org", "a_to_b@x-y.org": "a_to_b@x-y.org",
		" a@x.org": "", "a@x.org\n": "", "o'neil@x.org": "", "a#b@x.org": "", "*@x.org": "", "a/b@x.org": "", "a@bücher.example": "", "a@b\u212aE.org": "", "..": "", "": "",
	} {
		a, err := ParseAddress(s)
		if user == "" {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q is taken as %q (%v)", s, a, err)
			}
			continue
		}
		if err != nil || string(a) != s || a.User() != user {
			t.Errorf("%q is %q of %q (%v)", s, a, a.User(), err)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, bad := range []string{"", "1", "1.0", "0.1.2b1", "0.1.1.1", "0.01.1", "0.-1.1", "0.+1.1", "0. 1.1", "0.1.99999999999999999999", "0.1."} {
		if v, err := ParseVersion(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, v)
		}
	}
	v, err := ParseVersion("0.1.117")
	if err != nil || v.String() != "0.1.117" || !v.Sees(Version{0, 1, 93}) || v.Sees(Version{0, 2, 117}) || v.Sees(Version{1, 1, 117}) {
		t.Errorf("%v %v", v, err)
	}
	for _, tt := range []struct {
		v, w Version
		want bool
	}{{Version{0, 10, 0}, successor, true}, {Version{0, 9, 99}, successor, false}, {Version{1, 0, 0}, successor, true}, {Version{0, 1, 2}, Version{0, 1, 3}, false}} {
		if tt.v.atLeast(tt.w) != tt.want {
			t.Errorf("%v and %v", tt.v, tt.w)
		}
	}
}

func TestIDs(t *testing.T) {
	want := mustID(t, uuid)
	bare := strings.ReplaceAll(uuid, "-", "")
	for _, s := range []string{uuid, strings.ToUpper(uuid), bare, "{" + uuid + "}", "urn:uuid:" + uuid} {
		if id, err := ParseID(s); err != nil || id != want || id.String() != uuid {
			t.Errorf("%q is %v (%v)", s, id, err)
		}
	}
	for _, s := range []string{"", "{}", uuid[1:], uuid + "0", strings.ReplaceAll(uuid, "-", "_"), strings.Repeat("g", 32), "5b1c7c520-f3b-4d0e-9d0a-3f1c6a1f7a10"} {
		if id, err := ParseID(s); !errors.Is(err, ErrFormat) {
			t.Errorf("%q is taken as %v", s, id)
		}
	}
	for _, id := range []ID{NewID(), derivedID("x", 1)} {
		if s := id.String(); s[14] != '4' || !strings.ContainsRune("89ab", rune(s[19])) {
			t.Errorf("%v is not of version 4", id)
		}
	}
	if a, b := NewID(), NewID(); a == b || derivedID("x", 1) == derivedID("x", 2) || derivedID("x", 1).String() != "9764ed1a-67fa-4e83-a255-7671900462bf" {
		t.Error("ids do not tell apart")
	}
}

func TestCollectionPath(t *testing.T) {
	old, newer := Version{0, 1, 117}, Version{0, 10, 0}
	for _, tt := range []struct {
		name string
		v    Version
		want string
	}{
		{"mock.csv", old, "mock.csv"},
		{"a%2Fb.csv", old, "a%2Fb.csv"},
		{"a%2Fb.csv", newer, "a/b.csv"},
		{"a%2fb.csv", newer, "a/b.csv"},
		{"a/b.csv", old, "a/b.csv"},
		{"..%2Fx", old, "..%2Fx"},
		{"..%2Fx", newer, ""},
		{"%2Fetc", newer, ""},
		{"../x", old, ""}, {"/x", old, ""}, {"", old, ""}, {"..", old, ""}, {"a\\b", old, ""}, {"a\x00", old, ""}, {"a\nb", old, ""},
	} {
		got, err := CollectionPath(tt.name, tt.v)
		if got != tt.want || (tt.want == "") != errors.Is(err, ErrPath) {
			t.Errorf("%q of %v: %q, %v", tt.name, tt.v, got, err)
		}
	}
	h := NewCollectionHash()
	if h.Sum() != "e3b0c44298fc" {
		t.Error("the empty collection is", h.Sum())
	}
	for _, tt := range []struct {
		name string
		bad  bool
	}{{"b", false}, {"a", true}, {"b", true}, {"b ", false}} {
		if err := h.Add(tt.name, strings.NewReader("")); errors.Is(err, ErrDuplicate) != tt.bad {
			t.Errorf("%q: %v", tt.name, err)
		}
	}
}

// drawAddress gives an address in any spelling.
func drawAddress(t *rapid.T, label string) Address {
	return Address(rapid.StringMatching(`[A-Za-z0-9_%+-]{1,8}(_to_|_for_|\.)?[a-z0-9]{1,4}@[A-Za-z0-9]{1,6}(-0)?[a-z]\.(org|Example)`).Draw(t, label))
}

func drawTime(t *rapid.T, label string) Time {
	if rapid.Bool().Draw(t, label+" by Python") {
		return Time(rapid.Float64Range(1, 4e9).Draw(t, label))
	}
	return Time(rapid.Int64Range(1e15, 4e15).Draw(t, label)) / 1e6
}

// TestNamesHold: every name that is made of lawful parts reads back as those.
func TestNamesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")).String()
		at := drawTime(t, "at")
		a, b := drawAddress(t, "a"), drawAddress(t, "b")
		for _, n := range []FileName{
			{Kind: ProposalFile, At: at, ID: id}, {Kind: EventsFile, At: at, ID: id}, {Kind: CheckpointFile, At: at}, {Kind: RollingFile, At: at},
			{Kind: IncrementFile, At: at, Seq: rapid.IntRange(1, maxSeq).Draw(t, "seq")}, {Kind: BundleFile, Of: a, For: b},
		} {
			if back, err := ParseFile(n.String()); err != nil || back != n {
				t.Fatalf("%+v is %q, which is %+v (%v)", n, n, back, err)
			}
		}
		v := Version{rapid.IntRange(0, 99).Draw(t, "major"), rapid.IntRange(0, 99).Draw(t, "minor"), rapid.IntRange(0, 999).Draw(t, "patch")}
		inbox, outbox := Pair(v, a, b)
		tag := rapid.StringMatching(`[\w-]{1,10}( é)?`).Draw(t, "tag")
		for _, n := range []FolderName{
			inbox, outbox, {Kind: LogFolder, Version: v, Of: a}, {Kind: ArchiveFolder, Of: a, Peer: b}, {Kind: CheckpointsFolder, Version: v, Of: a},
			{Kind: RollingFolder, Version: v, Of: a}, {Kind: CollectionFolder, Tag: tag, Hash: "0123456789ab"}, {Kind: PrivateFolder, Tag: tag, Hash: "0123456789ab"},
			{Kind: BundlesFolder, Of: a},
		} {
			if back, err := ParseFolder(n.String()); err != nil || back != n {
				t.Fatalf("%+v is %q, which is %+v (%v)", n, n, back, err)
			}
		}
	})
}
