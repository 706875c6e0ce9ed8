package peer

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/openmined/syftfs/sync/remote"
	"github.com/openmined/syftfs/sync/wire"
)

// python is a syft-client on the other end, as far as peers go: it does what sections 4.2 to 4.5 of the protocol say, by name.
type python struct {
	t       testing.TB
	r       remote.Remote
	me      string
	version string
	top     remote.ID
	peers   map[string]string
	written remote.ID
	vfile   remote.ID
}

func newPython(t testing.TB, r remote.Remote, me, version string) *python {
	return &python{t: t, r: r, me: me, version: version, top: make1(t, r, remote.Root, "SyftBox", nil), peers: map[string]string{}}
}

func (p *python) addPeer(peer string) {
	state := "requested_by_me"
	if p.pending()[peer] {
		state = "accepted"
	}
	for _, kind := range []string{"inbox", "outbox"} {
		id := make1(p.t, p.r, p.top, "syft_datasite#"+p.version+"#"+peer+"#"+kind+"#"+p.me, nil)
		grant(p.t, p.r, id, peer, remote.CanWrite)
	}
	p.peers[peer] = state
	p.write()
	if p.vfile == "" {
		v := wire.VersionInfo{Client: p.version, MinClient: wire.MinClient, Protocol: wire.Protocol, MinProtocol: wire.MinProtocol, Updated: clock()}
		body, err := v.Encode()
		if err != nil {
			p.t.Fatal(err)
		}
		p.vfile = make1(p.t, p.r, p.top, "SYFT_version.json", body)
	}
	grant(p.t, p.r, p.vfile, peer, remote.CanRead)
}

func (p *python) write() {
	states := map[string]map[string]string{}
	for who, s := range p.peers {
		states[who] = map[string]string{"state": s}
	}
	body, err := json.MarshalIndent(states, "", "  ")
	if err != nil {
		p.t.Fatal(err)
	}
	if p.written == "" {
		p.written = make1(p.t, p.r, p.top, "SYFT_peers.json", body)
		return
	}
	replace := remote.Bytes(body)
	if err := p.r.Update(p.t.Context(), p.written, remote.Edit{Body: &replace}); err != nil {
		p.t.Fatal(err)
	}
}

// pending is who made folders for us.
func (p *python) pending() map[string]bool {
	all, err := remote.Collect(p.t.Context(), p.r, remote.Query{Prefix: "syft_datasite#", Whose: remote.Others, Folders: true})
	if err != nil {
		p.t.Fatal(err)
	}
	who := map[string]bool{}
	for _, o := range all {
		if f, err := wire.ParseFolder(o.Name); err == nil && string(f.Of) == p.me && p.peers[string(f.Peer)] != "accepted" && p.peers[string(f.Peer)] != "rejected" {
			who[string(f.Peer)] = true
		}
	}
	return who
}

// load is load_peers.
func (p *python) load() map[string]string {
	all := map[string]string{}
	for who := range p.pending() {
		if p.peers[who] == "requested_by_me" {
			p.peers[who] = "accepted"
			p.write()
			continue
		}
		all[who] = "requested_by_peer"
	}
	for who, s := range p.peers {
		all[who] = s
	}
	return all
}

// versionOf reads a peer's version file as it does: the first of that name that the peer owns.
func (p *python) versionOf(peer string) (wire.VersionInfo, error) {
	all, err := remote.Collect(p.t.Context(), p.r, remote.Query{Name: "SYFT_version.json", Owner: peer, Want: remote.WithSum | remote.WithSize})
	if err != nil {
		return wire.VersionInfo{}, err
	}
	if len(all) == 0 {
		return wire.VersionInfo{}, errors.New("none")
	}
	body, err := p.r.Get(p.t.Context(), all[0].ID, 0)
	if err != nil {
		return wire.VersionInfo{}, err
	}
	defer body.Close()
	return wire.DecodeVersion(body)
}
