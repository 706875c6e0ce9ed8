package driveserver

// state is everything that the store holds, in memory. The records that the maps point to are never changed in place.
type state struct {
	seq      int64 // of the newest transaction
	pageKey  []byte
	accounts map[string]*account // by id
	mails    map[string]string   // lower-case address to account id
	items    map[string]*item
	ids      map[string]issued // ids that were given out, and those of items that are gone
	feeds    map[string][]entry
	sessions map[string]*session
	tokens   map[string]*token // by the hash of the token
	clients  map[string]*Client
	outbox   []Mail
	counts   map[string]Count
	sw       *Switches

	// Made from the above.
	children map[string]map[string]bool
	refs     map[string]int   // items that name a blob
	usage    map[string]int64 // bytes by account
	past     map[string][]pastItem
}

// issued says to whom an id was given. Used ids stay here when their item is deleted: none is ever used again.
type issued struct {
	Account string `json:"account"`
	Space   string `json:"space"`
	Used    bool   `json:"used,omitempty"`
}

// entry is one change in the feed of one account; its position is its index plus one.
type entry struct {
	Item string `json:"item"`
	At   int64  `json:"at"`
	Real int64  `json:"real"` // At without the clock offset, for late feeds
	By   string `json:"by"`
}

func newState() *state {
	return &state{
		accounts: map[string]*account{}, mails: map[string]string{}, items: map[string]*item{}, ids: map[string]issued{},
		feeds: map[string][]entry{}, sessions: map[string]*session{}, tokens: map[string]*token{}, clients: map[string]*Client{},
		counts: map[string]Count{}, children: map[string]map[string]bool{}, refs: map[string]int{}, usage: map[string]int64{}, past: map[string][]pastItem{},
	}
}

func (st *state) item(id string) *item { return st.items[id] }

func (st *state) kids(id string) []string {
	all := make([]string, 0, len(st.children[id]))
	for k := range st.children[id] {
		all = append(all, k)
	}
	return all
}

// setItem replaces an item, or removes it when it is nil, and keeps what is made from items.
func (st *state) setItem(id string, it *item) {
	if old := st.items[id]; old != nil {
		delete(st.children[old.Parent], id)
		if len(st.children[old.Parent]) == 0 {
			delete(st.children, old.Parent)
		}
		st.usage[old.Owner] -= old.size()
		if old.Content != nil {
			if st.refs[old.Content.SHA256]--; st.refs[old.Content.SHA256] == 0 {
				delete(st.refs, old.Content.SHA256)
			}
		}
	}
	if it == nil {
		delete(st.items, id)
		return
	}
	st.items[id] = it
	st.usage[it.Owner] += it.size()
	if it.Content != nil {
		st.refs[it.Content.SHA256]++
	}
	if it.Parent != "" {
		if st.children[it.Parent] == nil {
			st.children[it.Parent] = map[string]bool{}
		}
		st.children[it.Parent][id] = true
	}
}

// byMail returns the account of an address, nil when there is none.
func (st *state) byMail(email string) *account { return st.accounts[st.mails[lower(email)]] }
