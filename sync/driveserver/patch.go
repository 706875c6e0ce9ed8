package driveserver

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// patch is the metadata of a request; a nil field was not there, and stays as it is. Fields that nobody may write are ignored.
type patch struct {
	ID          *string            `json:"id"`
	Name        *string            `json:"name"`
	Mime        *string            `json:"mimeType"`
	Parents     []string           `json:"parents"`
	Description *string            `json:"description"`
	Original    *string            `json:"originalFilename"`
	Color       *string            `json:"folderColorRgb"`
	Starred     *bool              `json:"starred"`
	Trashed     *bool              `json:"trashed"`
	Share       *bool              `json:"writersCanShare"`
	NoCopy      *bool              `json:"copyRequiresWriterPermission"`
	Limited     *bool              `json:"inheritedPermissionsDisabled"`
	Created     *moment            `json:"createdTime"`
	Modified    *moment            `json:"modifiedTime"`
	Viewed      *moment            `json:"viewedByMeTime"`
	Properties  map[string]*string `json:"properties"`
	AppProps    map[string]*string `json:"appProperties"`
	Shortcut    *struct {
		TargetID *string `json:"targetId"`
	} `json:"shortcutDetails"`
}

// moment is a time in a request, cut to milliseconds.
type moment int64

func (m *moment) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return errBadRequest("Invalid value for a time: " + clip(s))
	}
	*m = moment(t.UnixMilli())
	return nil
}

const (
	maxName       = 32 << 10
	maxProperty   = 124 // bytes of key and value
	maxProperties = 30  // public ones, and private ones of each client
)

// bytes tells whether what is to be created has stored bytes, even when none were sent.
func (p patch) bytes() bool {
	return p.Shortcut == nil && (p.Mime == nil || !strings.HasPrefix(*p.Mime, mimeGoogle))
}

// personalOnly tells whether only what belongs to the caller's own sight is to change.
func (p patch) personalOnly() bool {
	q := p
	q.Starred, q.Viewed = nil, nil
	return q.empty() && !p.empty()
}

func (p patch) empty() bool {
	return p.Name == nil && p.Mime == nil && p.Description == nil && p.Original == nil && p.Color == nil && p.Starred == nil && p.Trashed == nil &&
		p.Share == nil && p.NoCopy == nil && p.Limited == nil && p.Created == nil && p.Modified == nil && p.Viewed == nil && p.Properties == nil && p.AppProps == nil
}

// ownerOnly tells whether something is to change that only the owner may change.
func (p patch) ownerOnly() bool { return p.Trashed != nil || p.Share != nil || p.NoCopy != nil }

// shows tells whether the change advances modifiedTime.
func (p patch) shows() bool {
	return p.Name != nil || p.Mime != nil || p.Description != nil || p.Color != nil || p.Properties != nil || p.AppProps != nil
}

// over is the metadata of a copy of src: its own, with p laid over.
func (p patch) over(src *item, client string) patch {
	q := p
	set := func(to **string, v string) {
		if *to == nil && v != "" {
			*to = &v
		}
	}
	set(&q.Name, src.Name)
	set(&q.Mime, src.Mime)
	set(&q.Description, src.Description)
	set(&q.Original, src.Original)
	if src.Mime == mimeShortcut {
		q.Shortcut = &struct {
			TargetID *string `json:"targetId"`
		}{&src.Target}
	}
	if q.Modified == nil {
		m := moment(src.Modified)
		q.Modified = &m
	}
	merged := func(own map[string]string, given map[string]*string) map[string]*string {
		out := map[string]*string{}
		for k, v := range own {
			out[k] = &v
		}
		maps.Copy(out, given)
		return out
	}
	q.Properties = merged(src.Properties, p.Properties)
	q.AppProps = merged(src.AppProperties[client], p.AppProps)
	return q
}

// merge lays the metadata over an item, which is new or a clone.
func (c *call) merge(tx *txn, x *sight, it *item, p patch) error {
	if p.Name != nil {
		if len(*p.Name) > maxName || !utf8.ValidString(*p.Name) {
			return errInvalid("name")
		}
		it.Name = *p.Name
	}
	if p.Mime != nil && *p.Mime != it.Mime {
		if x.view.item(it.ID) != nil && (strings.HasPrefix(*p.Mime, mimeGoogle) || strings.HasPrefix(it.Mime, mimeGoogle)) {
			return errInvalid("mimeType")
		}
		if len(*p.Mime) > 255 {
			return errInvalid("mimeType")
		}
		if *p.Mime != "" {
			it.Mime = *p.Mime
		}
	}
	set(&it.Description, p.Description)
	set(&it.Original, p.Original)
	if it.folder() {
		set(&it.Color, p.Color)
		set(&it.Limited, p.Limited)
	}
	set(&it.Trashed, p.Trashed)
	set(&it.NoCopy, p.NoCopy)
	if p.Share != nil {
		it.WritersNoShare = !*p.Share
	}
	if p.Created != nil {
		it.Created = int64(*p.Created)
	}
	if p.Modified != nil {
		it.Modified = int64(*p.Modified)
		it.personalOf(c.who.ID, func(u *personal) { u.Modified = it.Modified })
	}
	if p.Starred != nil {
		it.personalOf(c.who.ID, func(u *personal) { u.Starred = *p.Starred })
	}
	if p.Viewed != nil {
		it.personalOf(c.who.ID, func(u *personal) { u.Viewed = int64(*p.Viewed) })
	}
	var err error
	if it.Properties, err = mergeProperties(it.Properties, p.Properties); err != nil {
		return err
	}
	own, err := mergeProperties(it.AppProperties[c.who.client], p.AppProps)
	if err != nil {
		return err
	}
	if len(own) > 0 || it.AppProperties[c.who.client] != nil {
		if it.AppProperties == nil {
			it.AppProperties = map[string]map[string]string{}
		}
		it.AppProperties[c.who.client] = own
	}
	return nil
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

// mergeProperties sets keys, removes those that are null and leaves the others.
func mergeProperties(have map[string]string, changes map[string]*string) (map[string]string, error) {
	if len(changes) == 0 {
		return have, nil
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range changes {
		if v == nil {
			delete(out, k)
			continue
		}
		if k == "" || len(k)+len(*v) > maxProperty {
			return nil, errReason(http.StatusForbidden, "propertyTooLong", "A property is longer than 124 bytes.")
		}
		out[k] = *v
	}
	if len(out) > maxProperties {
		return nil, errReason(http.StatusForbidden, "tooManyProperties", "An item can have at most 30 properties of a kind.")
	}
	return out, nil
}

// guessMime is the type of content whose sender named none.
func guessMime(name string, head []byte) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	if len(head) == 0 {
		return mimeUnknown
	}
	return http.DetectContentType(head)
}
