package rulefile

import (
	"github.com/openmined/syftfs/perm"
	"gopkg.in/yaml.v3"
)

// spot is where the parts of a rule stand.
type spot struct {
	field   string // "rules[2]"
	rule    *yaml.Node
	pattern *yaml.Node
	lists   [perm.Admin + 1]*yaml.Node // the keys of the lists that are there, syft.pub.yaml only
	limits  *yaml.Node                 // the key, nil if there is none
}

func (r *reader) spot(s spot) {
	if r.spots != nil {
		*r.spots = append(*r.spots, s)
	}
}
