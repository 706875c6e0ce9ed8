package wire

import (
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// VersionInfo is SYFT_version.json: what an account's client is. The four texts are as the peer wrote them; only Client is ever compared.
type VersionInfo struct {
	Client        string // a Version, or something that no client can compare
	MinClient     string
	Protocol      string
	MinProtocol   string
	InstallSource string // what a job there should install; "" if it does not say
	Updated       time.Time
	Attestation   string
	Syftfs        string // version of syftfs, ours only: "" says that the peer runs a Python client
}

// The versions that syft-client 0.1.117 gives beside its own.
const (
	MinClient   = "0.1.93"
	Protocol    = "1.0.0"
	MinProtocol = "1.0.0"
)

// pythonTime is how pydantic writes a moment in UTC that has microseconds.
const pythonTime = "2006-01-02T15:04:05.000000Z"

// DecodeVersion reads SYFT_version.json. Keys that it does not know are passed over; a time that it cannot read is zero.
func DecodeVersion(r io.Reader) (VersionInfo, error) {
	var v VersionInfo
	text := map[string]*string{
		"syft_client_version": &v.Client, "min_supported_syft_client_version": &v.MinClient,
		"protocol_version": &v.Protocol, "min_supported_protocol_version": &v.MinProtocol,
	}
	maybe := map[string]*string{"syft_client_install_source": &v.InstallSource, "attestation_token": &v.Attestation, "syftfs": &v.Syftfs}
	has := map[string]bool{}
	err := readPlain(r, maxVersionFile, func(s *scanner) error {
		return s.object(func(key string) (err error) {
			switch {
			case text[key] != nil:
				*text[key], err = s.text()
				has[key] = true
			case maybe[key] != nil:
				*maybe[key], err = optional(s)
			case key == "updated_at" && s.peek() == '"':
				var at string
				at, err = s.text()
				v.Updated, _ = time.Parse(time.RFC3339Nano, at)
			default:
				err = s.skip()
			}
			return err
		})
	})
	for _, key := range slices.Sorted(maps.Keys(text)) {
		if err == nil && !has[key] {
			err = missing(key)
		}
	}
	if err != nil {
		return VersionInfo{}, inObject(versionName, err)
	}
	return v, nil
}

// Encode writes the file as a newer syft-client would, and the key syftfs. A version that Python cannot compare is refused: it would
// end its sync with everybody.
func (v VersionInfo) Encode() ([]byte, error) {
	for _, f := range []struct{ key, version string }{
		{"syft_client_version", v.Client}, {"min_supported_syft_client_version", v.MinClient},
		{"protocol_version", v.Protocol}, {"min_supported_protocol_version", v.MinProtocol},
	} {
		if _, err := ParseVersion(f.version); err != nil {
			return nil, inObject(versionName, inField(f.key, unsendablef("%v", err)))
		}
	}
	for _, f := range []struct{ key, text string }{{"syft_client_install_source", v.InstallSource}, {"attestation_token", v.Attestation}, {"syftfs", v.Syftfs}} {
		if strings.ToValidUTF8(f.text, "") != f.text {
			return nil, inObject(versionName, inField(f.key, unsendablef("not UTF-8")))
		}
	}
	p := printer{style: indented}
	p.open('{')
	p.key("syft_client_version")
	p.text(v.Client)
	p.key("min_supported_syft_client_version")
	p.text(v.MinClient)
	p.key("protocol_version")
	p.text(v.Protocol)
	p.key("min_supported_protocol_version")
	p.text(v.MinProtocol)
	p.key("syft_client_install_source")
	p.textOrNull(v.InstallSource)
	p.key("updated_at")
	p.text(strings.Replace(v.Updated.UTC().Truncate(time.Microsecond).Format(pythonTime), ".000000Z", "Z", 1))
	p.key("attestation_token")
	p.textOrNull(v.Attestation)
	p.key("syftfs")
	p.textOrNull(v.Syftfs)
	p.close('}')
	return p.b, nil
}

// readPlain reads a file that is JSON itself, of at most so many bytes.
func readPlain(r io.Reader, most int64, read func(s *scanner) error) error {
	body, err := io.ReadAll(&limited{r: r, left: most, what: "bytes"})
	if err != nil {
		return err
	}
	return document(body, Limits{}.filled().Depth, read)
}
