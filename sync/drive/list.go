package drive

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/openmined/syftfs/sync/remote"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
)

// mask is the field selection for one file.
func mask(want remote.Fields) string {
	fields := "id,name,mimeType"
	for _, f := range []struct {
		want   remote.Fields
		fields string
	}{
		{remote.WithParent, "parents"},
		{remote.WithOwner, "ownedByMe,owners(emailAddress)"},
		{remote.WithSize, "size"},
		{remote.WithTimes, "createdTime,modifiedTime"},
		{remote.WithSum, "sha256Checksum"},
		{remote.WithProperties, "appProperties"},
	} {
		if want&f.want != 0 {
			fields += "," + f.fields
		}
	}
	return fields
}

func object(f *gdrive.File) remote.Object {
	o := remote.Object{ID: remote.ID(f.Id), Name: f.Name, Folder: f.MimeType == folderType, Mine: f.OwnedByMe, Size: f.Size,
		Created: moment(f.CreatedTime), Modified: moment(f.ModifiedTime), SHA256: f.Sha256Checksum, Properties: f.AppProperties}
	if len(f.Parents) > 0 {
		o.Parent = remote.ID(f.Parents[0])
	}
	if len(f.Owners) > 0 {
		o.Owner = f.Owners[0].EmailAddress
	}
	return o
}

// moment reads a time of the server; one that is missing or makes no sense is zero, as nothing depends on it.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// search is q in Drive's language. It may find more: names are matched by word, perhaps without case.
func search(q remote.Query) string {
	terms := []string{"trashed=false"}
	add := func(yes bool, term string) {
		if yes {
			terms = append(terms, term)
		}
	}
	add(q.Parent != "", quote(string(q.Parent))+" in parents")
	add(q.Name != "", "name="+quote(q.Name))
	// However the server splits names into words, the beginning of a name that ends inside a word finds it.
	words := strings.TrimRightFunc(q.Prefix, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	add(words != "", "name contains "+quote(words))
	add(q.Owner != "", quote(q.Owner)+" in owners")
	add(q.Whose == remote.Mine, "'me' in owners")
	add(q.Whose == remote.Others || q.Whose == remote.Shared, "not 'me' in owners")
	add(q.Whose == remote.Shared, "sharedWithMe=true")
	add(q.Folders, "mimeType="+quote(folderType))
	add(q.Files, "mimeType!="+quote(folderType))
	return strings.Join(terms, " and ")
}

// List asks for one page and takes out what does not have the very name.
func (c *Client) List(ctx context.Context, q remote.Query, page string) (remote.Page, error) {
	call := c.service.Files.List().Q(search(q)).PageSize(int64(min(cmp.Or(q.PageSize, pageLimit), pageLimit))).
		Fields(googleapi.Field("nextPageToken,files(" + mask(q.Want) + ")")).Context(ctx)
	switch q.Order {
	case remote.NameUp:
		call.OrderBy("name")
	case remote.NameDown:
		call.OrderBy("name desc")
	}
	if page != "" {
		call.PageToken(page)
	}
	got, err := call.Do()
	if err != nil {
		return remote.Page{}, c.failed(ctx, remote.OpList, q.Parent, q.Name+q.Prefix, err)
	}
	p := remote.Page{Next: got.NextPageToken}
	for _, f := range got.Files {
		if (q.Name == "" || f.Name == q.Name) && strings.HasPrefix(f.Name, q.Prefix) {
			p.Objects = append(p.Objects, object(f))
		}
	}
	return p, nil
}
