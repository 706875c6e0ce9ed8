package daemon

import (
	"context"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/openmined/syftfs/cmd/internal/config"
	"github.com/openmined/syftfs/cmd/internal/service"
	"github.com/openmined/syftfs/fs/statedir"
	"github.com/openmined/syftfs/perm"
	"github.com/openmined/syftfs/sync/drive"
)

// Where the token lies in the state folder.
const (
	driveDir  = "drive"
	tokenFile = "token.json"
)

// SignInOptions are for SignIn: either a token that exists, or an OAuth client with which a person agrees in a browser.
type SignInOptions struct {
	Drive        string // as config.ParseDrive takes it; "" leaves what is configured
	Token        string // path of a token.json, of syft-client or of `syftfs drive accounts add`; it is copied, not used in place
	ClientSecret string // path of the client_secret.json of a "Desktop app"
	Show         func(page string)
}

// SignedIn is what SignIn did.
type SignedIn struct {
	Drive   string `json:"drive"`
	Account string `json:"account"` // the address that the Drive knows
	Token   string `json:"token"`   // where the token is kept
}

// Check refuses what was typed wrong, before anything is made or asked.
func (o SignInOptions) Check() error {
	if _, err := config.ParseDrive(o.Drive); err != nil {
		return &service.Error{Code: service.BadInput, Field: "drive", Message: err.Error(), Err: err}
	}
	_, _, err := o.read()
	return err
}

// SignIn connects a datasite to a Drive: it gets or copies a token, asks whose it is, refuses one that is somebody else's, and only then
// keeps it and changes the configuration. A running datasite takes the new token at once, another Drive at its next start.
func SignIn(ctx context.Context, dir string, o SignInOptions) (SignedIn, error) {
	cfg, err := config.Load(dir)
	if err != nil {
		return SignedIn{}, &service.Error{Code: service.BadInput, Message: err.Error(), Err: err}
	}
	at := cfg.Drive.At
	if o.Drive != "" {
		if at, err = config.ParseDrive(o.Drive); err != nil {
			return SignedIn{}, &service.Error{Code: service.BadInput, Field: "drive", Message: err.Error(), Err: err}
		}
	}
	if at == "" {
		return SignedIn{}, &service.Error{Code: service.BadInput, Field: "drive", Message: "say to which Drive: google, or local:http://HOST:PORT"}
	}
	next := config.Drive{At: at}
	token, err := signIn(ctx, next.Endpoint(), cfg.Email, o)
	if err != nil {
		return SignedIn{}, err
	}
	text, err := token.Encode()
	if err != nil {
		return SignedIn{}, err
	}
	email, err := whose(ctx, next.Endpoint(), text)
	if err != nil {
		return SignedIn{}, err
	}
	if u, err := perm.ParseUser(email); err != nil || string(u) != cfg.Email {
		return SignedIn{}, &service.Error{Code: service.Conflict, Field: "token",
			Message: fmt.Sprintf("that sign-in is %s, and this datasite is %s: sign in as %s, or make a datasite for the other address", email, cfg.Email, cfg.Email)}
	}
	state, err := statedir.Open(dir, statedir.FromEnv())
	if err != nil {
		return SignedIn{}, err
	}
	sub, err := state.Sub(driveDir)
	if err != nil {
		return SignedIn{}, err
	}
	if err := sub.Write("sign-in", tokenFile, text); err != nil {
		return SignedIn{}, err
	}
	if at != cfg.Drive.At {
		cfg.Drive.At = at
		text, err := cfg.Marshal()
		if err != nil {
			return SignedIn{}, err
		}
		if err := state.Write("sign-in", config.File, text); err != nil {
			return SignedIn{}, err
		}
	}
	return SignedIn{at, email, filepath.Join(dir, driveDir, tokenFile)}, nil
}

// signIn gives the token that was asked for.
func signIn(ctx context.Context, endpoint, email string, o SignInOptions) (*drive.TokenFile, error) {
	token, client, err := o.read()
	if err != nil || token != nil {
		return token, err
	}
	return drive.SignIn{Client: client, Endpoint: endpoint, Email: email, Show: o.Show}.Run(ctx)
}

// read reads the file that is named: a token, or else the client to sign in through.
func (o SignInOptions) read() (*drive.TokenFile, drive.OAuthClient, error) {
	bad := func(field, message string, err error) (*drive.TokenFile, drive.OAuthClient, error) {
		return nil, drive.OAuthClient{}, &service.Error{Code: service.BadInput, Field: field, Message: message, Err: err}
	}
	field, path := "token", o.Token
	switch {
	case o.Token != "" && o.ClientSecret != "":
		return bad("", "a token is either copied (--token) or asked for (--client-secret), not both", nil)
	case o.ClientSecret != "":
		field, path = "client_secret", o.ClientSecret
	case o.Token == "":
		return bad("token", "say how to sign in: --token FILE (a token.json that exists) or --client-secret FILE (of a Desktop app in Google's console; the README has the steps)", nil)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return bad(field, err.Error(), err)
	}
	var token *drive.TokenFile
	var client drive.OAuthClient
	if o.Token != "" {
		token, err = drive.ParseTokenFile(src)
	} else {
		client, err = drive.ParseClientFile(src)
	}
	if err != nil {
		return bad(field, path+": "+err.Error(), err)
	}
	return token, client, nil
}

// whose asks the Drive whom a token belongs to. Nothing of it is kept.
func whose(ctx context.Context, endpoint string, token []byte) (string, error) {
	keys, err := drive.OpenCredentials(onlyToken{&token}, tokenFile, drive.CredentialsConfig{Endpoint: endpoint})
	if err != nil {
		return "", err
	}
	c, err := drive.Open(ctx, drive.Config{Endpoint: endpoint, Tokens: keys})
	if err != nil {
		return "", err
	}
	return c.Whoami(ctx)
}

// onlyToken holds one token file in memory.
type onlyToken struct{ text *[]byte }

func (o onlyToken) Read(string) ([]byte, error) {
	if *o.text == nil {
		return nil, iofs.ErrNotExist
	}
	return *o.text, nil
}

func (o onlyToken) Write(_, _ string, text []byte) error {
	*o.text = text
	return nil
}
