package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/openmined/syftfs/sync/remote"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
)

// Stat asks for one object by its id.
func (c *Client) Stat(ctx context.Context, id remote.ID, want remote.Fields) (remote.Object, error) {
	f, err := c.service.Files.Get(string(id)).Fields(googleapi.Field("trashed," + mask(want))).Context(ctx).Do()
	if err != nil {
		return remote.Object{}, c.failed(ctx, remote.OpStat, id, "", err)
	}
	if f.Trashed {
		return remote.Object{}, &remote.Error{Op: remote.OpStat, Kind: remote.NotFound, ID: id, Name: f.Name, Reason: "trashed",
			Remedy: "it lies in the trash of its owner, who can take it out again"}
	}
	return object(f), nil
}

// Get opens the content. One request, however large it is.
func (c *Client) Get(ctx context.Context, id remote.ID, offset int64) (io.ReadCloser, error) {
	call := c.service.Files.Get(string(id)).Context(ctx)
	if offset > 0 {
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := call.Download()
	if err != nil {
		var answer *googleapi.Error
		if errors.As(err, &answer) && answer.Code == http.StatusRequestedRangeNotSatisfiable {
			return http.NoBody, nil // at or beyond the end
		}
		return nil, c.failed(ctx, remote.OpGet, id, "", err)
	}
	body := &download{ReadCloser: resp.Body, ctx: ctx, client: c, id: id}
	if offset > 0 && resp.StatusCode == http.StatusOK { // the server took no notice of the offset
		if _, err := io.CopyN(io.Discard, body, offset); err != nil && err != io.EOF {
			return nil, errors.Join(err, body.Close())
		}
	}
	return body, nil
}

// download gives its errors the right kind.
type download struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
	id     remote.ID
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = d.client.failed(d.ctx, remote.OpGet, d.id, "", err)
	}
	return n, err
}

// Put makes a file or a folder, in one request if it is small.
func (c *Client) Put(ctx context.Context, s remote.Spec, body remote.Body) error {
	f := &gdrive.File{Id: string(s.ID), Name: s.Name, Parents: []string{string(cmp.Or(s.Parent, remote.Root))}, AppProperties: s.Properties,
		ModifiedTime: timestamp(s.Modified), MimeType: cmp.Or(s.Type, fileType)}
	var err error
	switch {
	case s.Folder:
		f.MimeType = folderType
		_, err = c.service.Files.Create(f).Fields("id").Context(ctx).Do()
	case body.Size > simpleLimit:
		err = c.upload(ctx, sending{key: s.ID, method: http.MethodPost, meta: f, body: body})
	default:
		var content io.Reader
		if content, err = small(body); err == nil {
			_, err = c.service.Files.Create(f).Media(content, googleapi.ContentType(f.MimeType), oneChunk(body.Size)).Fields("id").Context(ctx).Do()
		}
	}
	if err != nil {
		return c.failed(ctx, remote.OpPut, s.ID, s.Name, err)
	}
	return nil
}

// oneChunk makes the library send size bytes in one request, with a buffer that is no larger than it must be.
func oneChunk(size int64) googleapi.MediaOption { return googleapi.ChunkSize(int(size) + 1) }

// Update changes names, times, properties and content, in one request unless the content is large.
func (c *Client) Update(ctx context.Context, id remote.ID, e remote.Edit) error {
	f := &gdrive.File{Name: e.Name, ModifiedTime: timestamp(e.Modified)}
	for k, v := range e.Properties {
		if v == "" {
			f.NullFields = append(f.NullFields, "AppProperties."+k)
			continue
		}
		if f.AppProperties == nil {
			f.AppProperties = map[string]string{}
		}
		f.AppProperties[k] = v
	}
	call := c.service.Files.Update(string(id), f).Fields("id").Context(ctx)
	var err error
	switch {
	case e.Body == nil:
		_, err = call.Do()
	case e.Body.Size > simpleLimit:
		err = c.upload(ctx, sending{path: "/" + string(id), method: http.MethodPatch, meta: f, mediaType: e.Type, body: *e.Body})
	default:
		var content io.Reader
		if content, err = small(*e.Body); err == nil {
			_, err = call.Media(content, googleapi.ContentType(cmp.Or(e.Type, fileType)), oneChunk(e.Body.Size)).Do()
		}
	}
	if err != nil {
		return c.failed(ctx, remote.OpUpdate, id, e.Name, err)
	}
	return nil
}

// Move changes the parent. What is refused is looked at: perhaps it was done before.
func (c *Client) Move(ctx context.Context, id, from, to remote.ID) error {
	if from == to {
		return c.there(ctx, id, to, nil)
	}
	_, err := c.service.Files.Update(string(id), &gdrive.File{}).AddParents(string(to)).RemoveParents(string(from)).Fields("id").Context(ctx).Do()
	if err == nil {
		return nil
	}
	err = c.failed(ctx, remote.OpMove, id, "", err)
	if errors.Is(err, remote.Invalid) || errors.Is(err, remote.Permission) || errors.Is(err, remote.NotFound) {
		return c.there(ctx, id, to, err)
	}
	return err
}

// there is nil if the object lies in the folder to, else why, or if that is nil what is wrong with it.
func (c *Client) there(ctx context.Context, id, to remote.ID, why error) error {
	o, err := c.Stat(ctx, id, remote.WithParent)
	if err == nil && to == remote.Root {
		var root remote.Object
		root, err = c.Stat(ctx, to, 0)
		to = root.ID
	}
	switch {
	case err == nil && o.Parent == to:
		return nil
	case why != nil:
		return why
	case err != nil:
		return err
	}
	return &remote.Error{Op: remote.OpMove, Kind: remote.Invalid, ID: id, Name: o.Name, Remedy: "it lies in another folder: list that again"}
}

// Delete removes objects for good; several in batches of 100.
func (c *Client) Delete(ctx context.Context, ids ...remote.ID) error {
	if len(ids) == 1 {
		return c.deleted(ctx, ids[0], c.service.Files.Delete(string(ids[0])).Context(ctx).Do())
	}
	calls := make([]call, len(ids))
	for n, id := range ids {
		calls[n] = call{method: http.MethodDelete, path: "/drive/v3/files/" + escape(id)}
	}
	answers, err := c.batch(ctx, calls)
	if err != nil {
		return c.failed(ctx, remote.OpDelete, "", "", err)
	}
	var errs []error
	for n, a := range answers {
		errs = append(errs, c.deleted(ctx, ids[n], a.err))
	}
	return errors.Join(errs...)
}

func (c *Client) deleted(ctx context.Context, id remote.ID, err error) error {
	if err == nil {
		return nil
	}
	if err = c.failed(ctx, remote.OpDelete, id, "", err); errors.Is(err, remote.NotFound) {
		return nil
	}
	return err
}
