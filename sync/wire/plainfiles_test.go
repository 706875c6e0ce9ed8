package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestVersionFileRead(t *testing.T) {
	const five = `"syft_client_version":"0.1.117","min_supported_syft_client_version":"0.1.93","protocol_version":"1.0.0","min_supported_protocol_version":"1.0.0"`
	for what, tt := range map[string]struct {
		json  string
		field string
		err   error
	}{
		"least":          {json: `{` + five + `}`},
		"unknown keys":   {json: `{` + five + `,"extra":{"a":1},"updated_at":5,"attestation_token":null}`},
		"odd version":    {json: `{` + strings.Replace(five, "0.1.117", "0.1.2b1", 1) + `}`},
		"offset":         {json: `{` + five + `,"updated_at":"2026-05-14T12:00:00+02:00"}`},
		"no time at all": {json: `{` + five + `,"updated_at":"yesterday"}`},
		"too few":        {json: `{"syft_client_version":"0.1.117"}`, field: "min_supported_protocol_version", err: ErrFormat},
		"a number":       {json: `{"syft_client_version":1}`, field: "syft_client_version", err: ErrFormat},
		"large":          {json: `{` + five + strings.Repeat(" ", maxVersionFile) + `}`, err: ErrLimit},
		"no JSON":        {json: `hello`, err: ErrFormat},
	} {
		_, err := DecodeVersion(strings.NewReader(tt.json))
		if tt.err == nil {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		t.Run(what, func(t *testing.T) { checkError(t, err, tt.err, "SYFT_version.json", tt.field) })
	}
	for what, spoil := range map[string]func(*VersionInfo){
		"odd version": func(v *VersionInfo) { v.Client = "0.1.2b1" }, "no minimum": func(v *VersionInfo) { v.MinClient = "" },
		"odd protocol": func(v *VersionInfo) { v.Protocol = "1" }, "not UTF-8": func(v *VersionInfo) { v.InstallSource = "\xff" },
	} {
		v := exampleVersion()
		spoil(&v)
		if _, err := v.Encode(); !errors.Is(err, ErrUnsendable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPeersFileRead(t *testing.T) {
	const kept = `{
  "_meta": {
    "version": 1
  },
  "b@y.org": {
    "since": 1.50e0,
    "state": "paused",
    "list": [
      null,
      true,
      {}
    ]
  },
  "caf\u00e9": {
    "state": "accepted"
  },
  "A@x.org": {
    "name": "\ud83e\uddec \u007f \" / \\ \n \u0001"
  }
}`
	p, err := DecodePeers(strings.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for a, s := range p.All() {
		got = append(got, fmt.Sprintf("%s %q", a, s))
	}
	if want := `[b@y.org "paused" A@x.org ""]`; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if p.State("b@y.org") != "paused" || p.State("a@x.org") != "" {
		t.Error("states")
	}
	if b, err := p.Encode(); err != nil || string(b) != kept {
		t.Errorf("comes back as\n%s\n%v", b, err)
	}
	p.Set("b@y.org", Accepted)
	p.Set("c@z.org", Rejected)
	want := strings.Replace(kept, "paused", "accepted", 1)
	want = want[:len(want)-2] + ",\n  \"c@z.org\": {\n    \"state\": \"rejected\"\n  }\n}"
	if b, err := p.Encode(); err != nil || string(b) != want {
		t.Errorf("changed:\n%s\n%v", b, err)
	}
	for what, tt := range map[string]struct {
		json  string
		field string
		err   error
	}{
		"no object":     {json: `[]`, err: ErrFormat},
		"an odd entry":  {json: `{"a@x.org":"accepted"}`, field: "a@x.org", err: ErrFormat},
		"cut off":       {json: `{"a@x.org":{`, field: "*", err: ErrFormat},
		"empty":         {json: ``, err: ErrFormat},
		"too many":      {json: `{"a":{"b":[` + strings.Repeat("1,", maxNodes) + `1]}}`, field: "*", err: ErrLimit},
		"deep":          {json: strings.Repeat(`{"a":`, 1000), field: "*", err: ErrLimit},
		"large":         {json: strings.Repeat(" ", maxPeersFile+1), err: ErrLimit},
		"half a letter": {json: `{"\ud800":{}}`, err: ErrFormat},
	} {
		_, err := DecodePeers(strings.NewReader(tt.json))
		t.Run(what, func(t *testing.T) { checkError(t, err, tt.err, "SYFT_peers.json", tt.field) })
	}
	again, err := DecodePeers(strings.NewReader(`{"a@x.org":{"state":"rejected"},"b@x.org":{},"a@x.org":{"state":"accepted"}}`))
	if err != nil || again.State("a@x.org") != Accepted {
		t.Errorf("equal keys: %v %v", again, err)
	}
	var none Peers
	if b, err := none.Encode(); err != nil || string(b) != "{}" || none.State("a@x.org") != "" {
		t.Errorf("%s %v", b, err)
	}
}
