package driveserver

import (
	"maps"
	"slices"
	"time"
)

const (
	mimeFolder   = "application/vnd.google-apps.folder"
	mimeShortcut = "application/vnd.google-apps.shortcut"
	mimeGoogle   = "application/vnd.google-apps."
	mimeUnknown  = "application/octet-stream"

	spaceDrive   = "drive"
	spaceAppData = "appDataFolder"
)

// item is a file, a folder or a shortcut, as stored. A record that is in the state is never changed: whoever changes it clones it.
// Times are milliseconds since 1970 in UTC.
type item struct {
	ID     string `json:"id"`
	Owner  string `json:"owner"`            // account id
	Parent string `json:"parent,omitempty"` // "" only for a root
	Root   bool   `json:"root,omitempty"`
	Space  string `json:"space"`
	Client string `json:"client,omitempty"` // the OAuth client that made it

	Name        string `json:"name"`
	Mime        string `json:"mime"`
	Description string `json:"description,omitempty"`
	Original    string `json:"original,omitempty"` // originalFilename
	Color       string `json:"color,omitempty"`    // folderColorRgb
	Target      string `json:"target,omitempty"`   // of a shortcut
	TargetMime  string `json:"targetMime,omitempty"`

	Created    int64  `json:"created"`
	Modified   int64  `json:"modified"`
	ModifiedBy string `json:"modifiedBy"`

	Content *content `json:"content,omitempty"` // nil for what has no bytes
	Keep    bool     `json:"keep,omitempty"`    // keepForever of the newest revision

	Trashed        bool    `json:"trashed,omitempty"` // explicitly
	WritersNoShare bool    `json:"writersNoShare,omitempty"`
	NoCopy         bool    `json:"noCopy,omitempty"`  // copyRequiresWriterPermission
	Limited        bool    `json:"limited,omitempty"` // inheritedPermissionsDisabled
	Grants         []grant `json:"grants,omitempty"`

	Properties    map[string]string            `json:"properties,omitempty"`
	AppProperties map[string]map[string]string `json:"appProperties,omitempty"` // by OAuth client
	Users         map[string]personal          `json:"users,omitempty"`         // by account id

	Version int64  `json:"version"`
	Seq     int64  `json:"seq"` // of the transaction that changed it last
	By      string `json:"by"`  // the account that changed it last
}

// content is what the bytes of a file are. The SHA-256 is also the name of the blob.
type content struct {
	Size   int64  `json:"size"`
	MD5    string `json:"md5"`
	SHA1   string `json:"sha1"`
	SHA256 string `json:"sha256"`
	Rev    string `json:"rev"` // headRevisionId
	At     int64  `json:"at"`  // when it was stored
}

// stored is the content as a revision of its own; nil stays nil.
func (b *content) stored(now int64) *content {
	if b == nil {
		return nil
	}
	c := *b
	c.Rev, c.At = "0B"+newSecret(30), now
	return &c
}

// personal is what belongs to one person's sight of an item.
type personal struct {
	Starred  bool  `json:"starred,omitempty"`
	Viewed   int64 `json:"viewed,omitempty"`
	Modified int64 `json:"modified,omitempty"`
}

// grant is one direct permission; the owner has none.
type grant struct {
	ID       string `json:"id"`   // permission id: the account's id, or that of a domain or of everybody
	Type     string `json:"type"` // user, group, domain, anyone
	Role     role   `json:"role"`
	Domain   string `json:"domain,omitempty"`
	Discover bool   `json:"discover,omitempty"` // allowFileDiscovery
	Expires  int64  `json:"expires,omitempty"`
	Pending  bool   `json:"pending,omitempty"` // pendingOwner
	View     string `json:"view,omitempty"`
	By       string `json:"by"`
	At       int64  `json:"at"`
}

func (it *item) folder() bool { return it.Mime == mimeFolder }

// clone is deep enough that every part may be changed.
func (it *item) clone() *item {
	c := *it
	c.Grants = slices.Clone(it.Grants)
	c.Properties = maps.Clone(it.Properties)
	c.Users = maps.Clone(it.Users)
	c.AppProperties = maps.Clone(it.AppProperties)
	for k, v := range c.AppProperties {
		c.AppProperties[k] = maps.Clone(v)
	}
	return &c
}

func (it *item) size() int64 {
	if it.Content == nil {
		return 0
	}
	return it.Content.Size
}

// grantOf returns the direct permission with this id.
func (it *item) grantOf(id string) (grant, bool) {
	i := slices.IndexFunc(it.Grants, func(g grant) bool { return g.ID == id })
	if i < 0 {
		return grant{}, false
	}
	return it.Grants[i], true
}

func (it *item) setGrant(g grant) {
	i := slices.IndexFunc(it.Grants, func(h grant) bool { return h.ID == g.ID })
	if i < 0 {
		it.Grants = append(it.Grants, g)
		return
	}
	it.Grants[i] = g
}

func (it *item) dropGrant(id string) {
	it.Grants = slices.DeleteFunc(it.Grants, func(g grant) bool { return g.ID == id })
}

func (it *item) personalOf(account string, change func(*personal)) {
	if it.Users == nil {
		it.Users = map[string]personal{}
	}
	p := it.Users[account]
	change(&p)
	it.Users[account] = p
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// stamp is a time as Drive writes it.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
