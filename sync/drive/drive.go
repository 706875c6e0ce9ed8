// Package drive is the contract of sync/remote on Google Drive v3, or on any server that speaks it: sign-in, objects by id,
// resumable upload, the change feed, sharing, and the sorting of errors by status and reason. It must not know peers,
// journals, datasites or what an object contains. The composition root and the commands that sign in import it.
package drive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/openmined/syftfs/sync/remote"
	gdrive "google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

const (
	folderType  = "application/vnd.google-apps.folder"
	fileType    = "application/octet-stream"
	simpleLimit = 5 << 20   // content up to this goes in one request, as the documents allow
	chunkUnit   = 256 << 10 // chunks of a resumable upload are multiples of this
	batchLimit  = 100       // calls in one batch
	pageLimit   = 1000
)

// Config is for Open.
type Config struct {
	Endpoint  string            // address of the server, as http://127.0.0.1:8123; "" is Google
	Tokens    Tokens            // who is signed in
	Transport http.RoundTripper // nil is http.DefaultTransport
	Idle      time.Duration     // a request on which no byte moves for so long is given up; 0 is 1 minute
	ChunkSize int64             // bytes of a large file sent in one request, a multiple of 256 KiB; 0 is 64 MiB
	Now       func() time.Time  // nil is time.Now
}

// Tokens says which access token a request carries. *Credentials fits.
type Tokens interface {
	// Token gives one that should be good, getting a new one if needed.
	Token(ctx context.Context) (string, error)
	// Refused says that the server did not take this one.
	Refused(access string)
}

// Client is one account's Drive; it fits remote.Remote. It asks once and never waits to ask again: wrap it in
// remote.WithLimit and remote.WithRetry. A large Put that failed goes on where it was when it is repeated.
type Client struct {
	addr    address
	http    *http.Client
	service *gdrive.Service
	chunk   int64
	now     func() time.Time
	sharing chan struct{} // one slot: Drive loses one of two changes of permissions made at once

	mu       sync.Mutex // innermost
	sessions map[remote.ID]session
	grantees map[string]string // lower-case address to permission id, which is the same on every file
}

var _ remote.Remote = (*Client)(nil)

// Open makes a client; nothing is sent.
func Open(ctx context.Context, c Config) (*Client, error) {
	addr, err := parseAddress(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if c.Tokens == nil {
		return nil, errors.New("drive: no tokens: sign in first")
	}
	if c.ChunkSize == 0 {
		c.ChunkSize = 64 << 20
	}
	if c.ChunkSize < 0 || c.ChunkSize%chunkUnit != 0 {
		return nil, fmt.Errorf("drive: a chunk of %d bytes is not a multiple of %d", c.ChunkSize, chunkUnit)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Idle == 0 {
		c.Idle = time.Minute
	}
	hc := plainClient(&signing{base: watch(c.Transport, c.Idle), tokens: c.Tokens, addr: addr})
	service, err := gdrive.NewService(ctx, option.WithHTTPClient(hc), option.WithEndpoint(addr.api+"/drive/v3/"))
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	return &Client{addr: addr, http: hc, service: service, chunk: c.ChunkSize, now: c.Now, sharing: make(chan struct{}, 1),
		sessions: map[remote.ID]session{}, grantees: map[string]string{}}, nil
}

// Whoami is the e-mail address of the account behind the token.
func (c *Client) Whoami(ctx context.Context) (string, error) {
	about, err := c.service.About.Get().Fields("user(emailAddress)").Context(ctx).Do()
	if err != nil {
		return "", c.failed(ctx, remote.OpWhoami, "", "", err)
	}
	if about.User == nil || about.User.EmailAddress == "" {
		return "", notDrive(remote.OpWhoami)
	}
	return about.User.EmailAddress, nil
}

// NewIDs asks for ids, a thousand in one request.
func (c *Client) NewIDs(ctx context.Context, n int) ([]remote.ID, error) {
	ids := make([]remote.ID, 0, n)
	for len(ids) < n {
		got, err := c.service.Files.GenerateIds().Count(int64(min(n-len(ids), pageLimit))).Space("drive").Fields("ids").Context(ctx).Do()
		if err != nil {
			return nil, c.failed(ctx, remote.OpNewIDs, "", "", err)
		}
		if len(got.Ids) == 0 {
			return nil, notDrive(remote.OpNewIDs)
		}
		for _, id := range got.Ids {
			ids = append(ids, remote.ID(id))
		}
	}
	return ids[:n], nil
}
