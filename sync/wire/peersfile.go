package wire

import (
	"io"
	"iter"
	"slices"
	"strings"
)

// PeerState is how an account stands to a peer, as SYFT_peers.json says it.
type PeerState string

// The states that are written. That a peer asks is seen from its folders, and not written.
const (
	RequestedByMe PeerState = "requested_by_me"
	Accepted      PeerState = "accepted"
	Rejected      PeerState = "rejected"
)

// Peers is SYFT_peers.json: private to its account. What it does not know it keeps: other keys, other states, their order. The zero value
// is an empty file.
type Peers struct{ root node }

const stateKey = "state"

// DecodePeers reads SYFT_peers.json. An error means that the file must not be written over, unlike in syft-client, which then begins anew.
func DecodePeers(r io.Reader) (*Peers, error) {
	p := &Peers{}
	err := readPlain(r, maxPeersFile, func(s *scanner) (err error) {
		p.root, err = s.tree(new(int))
		return err
	})
	if err == nil && p.root.kind != '{' {
		err = formatf("not an object")
	}
	if err == nil {
		for i, key := range p.root.keys {
			if p.root.kids[i].kind != '{' {
				err = inField(printableKey(key), formatf("not an object, so that syft-client cannot read the file either; remove the entry"))
				break
			}
		}
	}
	if err != nil {
		return nil, inObject(peersName, err)
	}
	return p, nil
}

// State is what the file says about a, in this spelling; "" if nothing. It may be a state that this package does not know.
func (p *Peers) State(a Address) PeerState {
	return p.root.member(string(a)).state()
}

// All gives every peer in the order of the file. Keys that are no address, or that begin with "_", are no peers.
func (p *Peers) All() iter.Seq2[Address, PeerState] {
	return func(yield func(Address, PeerState) bool) {
		for i, key := range p.root.keys {
			if strings.HasPrefix(key, "_") {
				continue
			}
			if a, err := ParseAddress(key); err == nil && !yield(a, p.root.kids[i].state()) {
				return
			}
		}
	}
}

// Set says how the account stands to a; all else that is known about a stays.
func (p *Peers) Set(a Address, s PeerState) {
	p.root.kind = '{'
	i := slices.Index(p.root.keys, string(a))
	if i < 0 {
		p.root.set(string(a), node{kind: '{'})
		i = len(p.root.keys) - 1
	}
	p.root.kids[i].set(stateKey, node{kind: '"', str: string(s)})
}

// Encode writes the file as syft-client does.
func (p *Peers) Encode() ([]byte, error) {
	out := printer{style: plain}
	root := p.root
	root.kind = '{'
	root.print(&out)
	if len(out.b) > maxPeersFile {
		return nil, &Error{Object: peersName, Err: ErrLimit}
	}
	return out.b, nil
}

// node is any JSON value, kept to be written again.
type node struct {
	kind byte   // '{', '[', '"', or 0 for a literal
	str  string // text, or the literal as it was written
	keys []string
	kids []node
}

// maxNodes is how many values a plain file may hold.
const maxNodes = 1 << 18

// tree reads any value. Of equal keys the last counts, at the place of the first, as in a Python dictionary.
func (s *scanner) tree(count *int) (n node, err error) {
	if *count++; *count > maxNodes {
		return n, &Error{Err: ErrLimit}
	}
	switch n.kind = s.peek(); n.kind {
	case '{':
		place := map[string]int{}
		err = s.object(func(key string) error {
			kid, err := s.tree(count)
			if i, again := place[key]; again {
				n.kids[i] = kid
				return err
			}
			place[key] = len(n.keys)
			n.keys, n.kids = append(n.keys, key), append(n.kids, kid)
			return err
		})
	case '[':
		err = s.array(func(int) error {
			kid, err := s.tree(count)
			n.kids = append(n.kids, kid)
			return err
		})
	case '"':
		n.str, err = s.text()
	default:
		n.kind = 0
		from := s.at
		err = s.skip()
		n.str = string(s.b[from:s.at])
	}
	return n, err
}

// state is what an entry of the file says.
func (n node) state() PeerState {
	if s := n.member(stateKey); s.kind == '"' {
		return PeerState(s.str)
	}
	return ""
}

// member is the value of key in an object, else an empty literal.
func (n node) member(key string) node {
	if i := slices.Index(n.keys, key); i >= 0 {
		return n.kids[i]
	}
	return node{}
}

func (n *node) set(key string, v node) {
	if i := slices.Index(n.keys, key); i >= 0 {
		n.kids[i] = v
		return
	}
	n.keys, n.kids = append(n.keys, key), append(n.kids, v)
}

func (n node) print(p *printer) {
	switch n.kind {
	case '{':
		p.open('{')
		for i, key := range n.keys {
			p.key(key)
			n.kids[i].print(p)
		}
		p.close('}')
	case '[':
		p.open('[')
		for _, kid := range n.kids {
			kid.print(p)
		}
		p.close(']')
	case '"':
		p.text(n.str)
	default:
		p.literal(n.str)
	}
}
