package driveserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cursor is where a page of a list ended. It travels, signed, as the page token, so that tokens survive a restart and nobody else can
// make one; it is bound to the caller and to the parameters of the list.
type cursor struct {
	Of    string   `json:"o"` // hash of caller, kind and parameters
	Until int64    `json:"u"` // when the token dies
	At    int      `json:"a,omitempty"`
	Keys  []string `json:"k,omitempty"` // sort keys of the last item
	ID    string   `json:"i,omitempty"`
	Seq   int64    `json:"s,omitempty"` // of the store when the first page was made
	Pages int      `json:"n,omitempty"` // how many pages there were
}

const tokenLife = 12 * time.Hour

func (c *call) boundTo(kind string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(c.q)) {
		switch k {
		case "pageToken", "pageSize", "fields", "access_token", "prettyPrint", "key", "quotaUser":
		default:
			h.Write([]byte(k + "\x00" + strings.Join(c.q[k], "\x00") + "\x01"))
		}
	}
	h.Write([]byte(c.who.ID + "\x00" + kind + "\x00" + c.id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func (c *call) sign(raw []byte) []byte {
	m := hmac.New(sha256.New, c.s.st.pageKey)
	m.Write(raw)
	return m.Sum(nil)
}

// pageToken makes the token of the page after at.
func (c *call) pageToken(kind string, at cursor) string {
	at.Of, at.Until = c.boundTo(kind), millis(c.s.cfg.Now().Add(tokenLife))
	raw, err := json.Marshal(at)
	if err != nil {
		return "" // strings and numbers can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sign(raw), raw...))
}

// cursor reads the page token of the request; ok is false when there is none.
func (c *call) cursor(kind string) (at cursor, ok bool, err error) {
	text := c.q.Get("pageToken")
	if text == "" {
		return cursor{}, false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < sha256.Size || !hmac.Equal(raw[:sha256.Size], c.sign(raw[sha256.Size:])) {
		return cursor{}, false, errInvalid("pageToken")
	}
	if json.Unmarshal(raw[sha256.Size:], &at) != nil || at.Of != c.boundTo(kind) || at.Until < millis(c.s.cfg.Now()) || c.fault.killsToken(at.Pages) {
		return cursor{}, false, errInvalid("pageToken")
	}
	return at, true, nil
}

// pageSize is the size that the request asks for, bounded by most.
func (c *call) pageSize(absent, most int) (int, error) {
	v := c.q.Get("pageSize")
	if v == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, errParameter("pageSize", "Invalid value for pageSize: "+clip(v))
	}
	return min(n, most), nil
}

// page is the size and the start of a page of a list that is counted.
func (c *call) page(kind string, most, absent int) (size, start int, err error) {
	if size, err = c.pageSize(absent, most); err != nil {
		return 0, 0, err
	}
	at, _, err := c.cursor(kind)
	return size, at.At, err
}
