package drive

import (
	"context"

	"github.com/openmined/syftfs/sync/remote"
	"google.golang.org/api/googleapi"
)

// Start asks for the position after everything so far.
func (c *Client) Start(ctx context.Context) (remote.Token, error) {
	got, err := c.service.Changes.GetStartPageToken().Fields("startPageToken").Context(ctx).Do()
	if err != nil {
		return "", c.failed(ctx, remote.OpStart, "", "", err)
	}
	if got.StartPageToken == "" {
		return "", notDrive(remote.OpStart)
	}
	return remote.Token(got.StartPageToken), nil
}

// Since asks for the changes after t, of all that the account can see: also of other accounts' folders.
func (c *Client) Since(ctx context.Context, t remote.Token, want remote.Fields) (remote.Changes, error) {
	got, err := c.service.Changes.List(string(t)).PageSize(pageLimit).
		Fields(googleapi.Field("nextPageToken,newStartPageToken,changes(fileId,removed,file(trashed," + mask(want) + "))")).Context(ctx).Do()
	if err != nil {
		return remote.Changes{}, c.failed(ctx, remote.OpSince, "", "", err)
	}
	var out remote.Changes
	switch {
	case got.NextPageToken != "":
		out.Next, out.More = remote.Token(got.NextPageToken), true
	case got.NewStartPageToken != "":
		out.Next = remote.Token(got.NewStartPageToken)
	default:
		return remote.Changes{}, notDrive(remote.OpSince)
	}
	for _, change := range got.Changes {
		item := remote.Change{ID: remote.ID(change.FileId), Gone: change.Removed || change.File == nil, Object: remote.Object{ID: remote.ID(change.FileId)}}
		if change.FileId == "" {
			continue // of a shared drive itself
		}
		if change.File != nil {
			item.Object, item.Gone = object(change.File), item.Gone || change.File.Trashed
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}
