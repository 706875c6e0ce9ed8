package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/sync/driveserver"
	"github.com/spf13/cobra"
)

// Forms in which an account is signed in.
const (
	formatSyft   = "syft"   // token.json
	formatRclone = "rclone" // a section of rclone.conf
	formatKey    = "key"    // key file of a service account
)

// written is the answer of a command that prints a file, or writes it.
type written struct {
	File string `json:"file,omitempty"`
	Text string `json:"text,omitempty"` // when there is no file
}

func (d *localDrive) tokenCmd() *cobra.Command {
	var file, format string
	c := &cobra.Command{Use: "token EMAIL", Short: "Sign an account in, as its operator",
		Long: "token makes a new sign-in of an account and prints it, or writes it to a new file with mode 0600. Earlier ones stay good. Formats:\n" +
			"  syft     token.json of syftfs and syft-client, with this server as token endpoint (syft-client asks Google's all the same: see proxy-env)\n" +
			"  rclone   a section of rclone.conf\n" +
			"  key      a key file, to sign in as service accounts do; an earlier key is no longer taken",
		Example: "  syftfs drive token owen@lab.example --token owen.json\n  syftfs drive token owen@lab.example --format rclone >> rclone.conf",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			if format != formatSyft && format != formatRclone && format != formatKey {
				return usage{fmt.Errorf("--format %s: say syft, rclone or key", format)}
			}
			return d.print(file, func() ([]byte, error) {
				raw, err := d.token(c.Context(), args[0], format)
				return raw, d.noAccount(err, args[0])
			})
		}}
	c.Flags().StringVar(&file, "token", "", "write it to this new file")
	c.Flags().StringVar(&format, "format", formatSyft, "syft, rclone or key")
	return c
}

func (d *localDrive) clientSecretCmd() *cobra.Command {
	return &cobra.Command{Use: "client-secret [FILE]", Short: "Write client_secret.json, for programs that sign in themselves",
		Long: "client-secret prints what a program loads as its client_secret.json, or writes it to a new file. Its sign-in then happens at this server: the page asks\n" +
			"for an account and its sign-in code, unless `syftfs drive switch --auto-consent` is on.",
		Example: "  syftfs drive client-secret client_secret.json", Args: between(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return d.print(strings.Join(args, ""), func() ([]byte, error) { return tell[json.RawMessage](c.Context(), d, http.MethodGet, "client", nil) })
		}}
}

// print prints what get makes, or writes it to a new file.
func (d *localDrive) print(file string, get func() ([]byte, error)) error {
	if file == "" {
		raw, err := get()
		if err != nil {
			return err
		}
		return d.show(written{Text: string(raw)}, func(w io.Writer) { fmt.Fprintf(w, "%s\n", bytes.TrimSpace(raw)) })
	}
	f, err := reserve(file)
	if err != nil {
		return err
	}
	defer f.discard()
	raw, err := get()
	if err != nil {
		return err
	}
	if err := f.keep(raw); err != nil {
		return err
	}
	return d.show(written{File: file}, func(w io.Writer) { fmt.Fprintln(w, "Wrote", clean(file, false)) })
}

// token signs an account in and gives the file of that format.
func (d *localDrive) token(ctx context.Context, email, format string) ([]byte, error) {
	o, err := d.operator()
	if err != nil {
		return nil, err
	}
	defer o.http.CloseIdleConnections()
	if format == formatKey {
		return question[json.RawMessage](ctx, o, http.MethodPost, accountPath(email)+"/key", nil)
	}
	client, err := question[struct {
		Installed struct {
			AuthURI  string `json:"auth_uri"`
			TokenURI string `json:"token_uri"`
		} `json:"installed"`
	}](ctx, o, http.MethodGet, "client", nil)
	if err != nil {
		return nil, err
	}
	at := client.Installed
	if format == formatSyft {
		return question[json.RawMessage](ctx, o, http.MethodPost, accountPath(email)+"/token?format=syft&token_uri="+url.QueryEscape(at.TokenURI), nil)
	}
	t, err := question[driveserver.Token](ctx, o, http.MethodPost, accountPath(email)+"/token", nil)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(map[string]string{"access_token": t.Access, "token_type": "Bearer", "refresh_token": t.Refresh, "expiry": t.Expiry.UTC().Format(time.RFC3339)})
	return fmt.Appendf(nil, "[%s]\ntype = drive\nclient_id = %s\nclient_secret = %s\nscope = drive\nauth_url = %s\ntoken_url = %s\ntoken = %s\n",
		remoteName(email), t.Client.ID, t.Client.Secret, at.AuthURI, at.TokenURI, raw), err
}

// remoteName is an address as every version of rclone takes the name of a remote.
func remoteName(email string) string {
	return "drive-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(email))
}

// newFile is a file that will hold a secret. It is made before the secret is, so that none is made in vain.
type newFile struct {
	*os.File
	kept bool
}

// reserve makes the file; one that exists is a Conflict, because it may be somebody's only sign-in.
func reserve(path string) (*newFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, iofs.ErrExist) {
		return nil, &service.Error{Code: service.Conflict, Message: path + " exists, and is not overwritten: name a new file", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &newFile{File: f}, nil
}

// keep writes the file whole.
func (f *newFile) keep(raw []byte) error {
	_, err := f.Write(append(bytes.TrimSpace(raw), '\n'))
	if err == nil {
		err = f.Sync()
	}
	f.kept = err == nil
	return err
}

// discard closes the file, and removes it unless it was kept.
func (f *newFile) discard() {
	_ = f.Close() // synced, or not wanted
	if !f.kept {
		_ = os.Remove(f.Name()) // an empty file; whoever looks sees that
	}
}

func (d *localDrive) proxyEnvCmd() *cobra.Command {
	return &cobra.Command{Use: "proxy-env", Short: "Print the variables that lead Google's own clients here",
		Long: "proxy-env prints assignments for a shell: the proxy of the local drive, and the certificate that a client has to trust. Python (with httplib2, requests or\n" +
			"its own library; httplib2 also needs the package PySocks), rclone and Go then reach this server under Google's names; every other host is refused.\n" +
			"Set them only in the shell that works with the local drive.",
		Example: "  syftfs drive proxy-env > drive.env", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := d.folder()
			if err != nil {
				return err
			}
			now, err := d.running(dir)
			if err != nil {
				return err
			}
			// Python prefers the names in small letters, Go those in capitals.
			env := [][2]string{{"HTTPS_PROXY", now.Address}, {"https_proxy", now.Address}}
			for _, name := range []string{"HTTPLIB2_CA_CERTS", "REQUESTS_CA_BUNDLE", "RCLONE_CA_CERT", "SSL_CERT_FILE"} {
				env = append(env, [2]string{name, filepath.Clean(now.CA)})
			}
			data := map[string]string{}
			for _, v := range env {
				data[v[0]] = v[1]
			}
			return d.show(data, func(w io.Writer) {
				for _, v := range env {
					fmt.Fprintf(w, "export %s=%s\n", v[0], shellWord(v[1]))
				}
			})
		}}
}
