package drive

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Scope is what a token must allow: what peers share is invisible to every smaller one.
const Scope = "https://www.googleapis.com/auth/drive"

// address is where the parts of a service are, without a slash at the end.
type address struct {
	api      string // Drive, uploads, batch
	consent  string // the page where a person agrees
	token    string // gives and renews tokens
	isGoogle bool
}

// parseAddress reads Config.Endpoint. Tokens go there, so that it must be https unless it is this machine.
func parseAddress(endpoint string) (address, error) {
	if endpoint == "" {
		return address{api: "https://www.googleapis.com", consent: "https://accounts.google.com/o/oauth2/v2/auth",
			token: "https://oauth2.googleapis.com/token", isGoogle: true}, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return address{}, fmt.Errorf("address of the drive: %w; it looks like http://127.0.0.1:8123", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return address{}, fmt.Errorf("address of the drive: %q is not one; it looks like http://127.0.0.1:8123", endpoint)
	case strings.Trim(u.Path, "/") != "":
		return address{}, fmt.Errorf("address of the drive: leave out %q; it is only scheme, host and port", u.Path)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return address{}, fmt.Errorf("address of the drive: %s is another machine, and http would show your token to everybody on the way; use https, or ssh to forward the port", u.Host)
	}
	base := u.Scheme + "://" + u.Host
	return address{api: base, consent: base + "/o/oauth2/v2/auth", token: base + "/token"}, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// owns says whether a request there may carry the token.
func (a address) owns(u *url.URL) bool {
	return u.Scheme+"://"+u.Host == a.api || a.isGoogle && u.Scheme == "https" && strings.HasSuffix(u.Host, ".googleapis.com")
}
