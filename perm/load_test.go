package perm_test

import (
	"fmt"
	"math/rand/v2"
	"path"

	"github.com/openmined/syftfs/perm"
)

// The load of the benchmarks: ten datasites of 100 rule files each, 20 rules a file, eight deep; 100,000 paths; 50 users.
const (
	loadSites = 10
	loadFiles = 100 // of a datasite
	loadUsers = 50
	loadPaths = loadSites * loadFiles * 5 * 20
)

var loadTypes = [...]string{"csv", "txt", "json", "py", "bin"}

// load is the rule files, paths and users of the benchmarks.
type load struct {
	users  []perm.User
	files  map[perm.User]map[string]int // by folder: n
	paths  []perm.Request               // owner and path, folder by folder
	number map[perm.User]uint64
}

func newLoad() *load {
	l := &load{files: map[perm.User]map[string]int{}, number: map[perm.User]uint64{}}
	for i := range loadUsers {
		l.users = append(l.users, perm.User(fmt.Sprintf("u%02d@org%d.example", i, i%5)))
	}
	for s := range loadSites {
		owner := perm.User(fmt.Sprintf("owner%d@bench.example", s))
		l.number[owner] = uint64(s)
		l.files[owner] = map[string]int{}
		dirs := make([]string, loadFiles)
		for n := range dirs {
			if n > 0 {
				dirs[n] = path.Join(dirs[(n-1)/2], fmt.Sprintf("d%d", n))
			}
			l.files[owner][dirs[n]] = n
			for sub := range 5 {
				for f := range 20 {
					l.paths = append(l.paths, perm.Request{Owner: owner, Want: perm.Read,
						Path: path.Join(dirs[n], fmt.Sprintf("s%d", sub), fmt.Sprintf("f%d.%s", f, loadTypes[f%5]))})
				}
			}
		}
	}
	return l
}

// rules makes what an index loads, afresh each time, as a parser would.
func (l *load) rules(owner perm.User, dir string) ([]perm.Ruleset, error) {
	n, ok := l.files[owner][dir]
	if !ok {
		return nil, nil
	}
	return []perm.Ruleset{l.file(owner, dir, 1000*l.number[owner]+uint64(n))}, nil
}

func (l *load) file(owner perm.User, dir string, seed uint64) perm.Ruleset {
	random := rand.New(rand.NewPCG(seed, 0))
	file := "/" + path.Join(string(owner), dir, perm.FilePub)
	rs := perm.Ruleset{Dir: dir, Kind: perm.KindPub, From: perm.Source{File: file}}
	for i, p := range loadPatterns() {
		var named []string
		for _, u := range random.Perm(loadUsers)[:10] {
			named = append(named, string([]byte(l.users[u])))
		}
		r := perm.Rule{Pattern: p, From: perm.Source{File: file, Line: 2 + 6*i},
			Grants: map[perm.Level][]string{perm.Read: named[:6:6], perm.Write: named[6:9:9], perm.Admin: named[9:]}}
		if random.IntN(4) == 0 {
			r.Grants[perm.Read] = append(r.Grants[perm.Read], "*@org1.example")
		}
		rs.Rules = append(rs.Rules, r)
	}
	return rs
}

func loadPatterns() []string {
	all := []string{"**"}
	for _, t := range loadTypes {
		all = append(all, "*."+t, "**/*."+t)
	}
	for s := range 4 {
		all = append(all, fmt.Sprintf("s%d/**", s))
	}
	return append(all, "s0/*.csv", "s1/*.txt", "s0/f0.csv", "s[2-4]/f?.json", "{{.UserEmail}}/**")
}

// few gives 1,000 paths, evenly over the load, for each of the users, in random order.
func (l *load) few() []perm.Request {
	var all []perm.Request
	for i := 0; i < loadPaths; i += loadPaths / 1000 {
		for _, u := range l.users {
			r := l.paths[i]
			r.User = u
			all = append(all, r)
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// nth is a question that was not asked in the last five million.
func (l *load) nth(i int) perm.Request {
	r := l.paths[i%loadPaths]
	r.User = l.users[(i/loadPaths+i)%loadUsers]
	return r
}
