package driveserver

import (
	"fmt"
	iofs "io/fs"
)

// Switches change how the server behaves where Google's behaviour is not known for sure, or where a client must bear several. The zero
// value is the default. They survive a restart. Times are milliseconds.
type Switches struct {
	ClockOffset int64 `json:"clockOffset,omitempty"` // added to every time that the server shows
	TokenLife   int64 `json:"tokenLife,omitempty"`   // of access tokens; 0 is 3599 s
	Lag         Lag   `json:"lag,omitzero"`

	UnitsPerMinute    int64 `json:"unitsPerMinute,omitempty"`    // for each account; 0 is no bound (Google: 325000)
	RequestsPerMinute int64 `json:"requestsPerMinute,omitempty"` // for each account; 0 is no bound (older projects: 12000)

	StrictContains        bool `json:"strictContains,omitempty"`        // name contains: the words must follow each other
	ExactNames            bool `json:"exactNames,omitempty"`            // name = minds the case
	RefuseRegrant         bool `json:"refuseRegrant,omitempty"`         // a second grant for one grantee is an error
	KnownGranteesOnly     bool `json:"knownGranteesOnly,omitempty"`     // sharing with an address without an account is an error
	DuplicateReason       bool `json:"duplicateReason,omitempty"`       // a used id is "duplicate", not "fileIdInUse"
	EachChange            bool `json:"eachChange,omitempty"`            // the feed does not collapse the changes of an item
	FolderChangesOnly     bool `json:"folderChangesOnly,omitempty"`     // sharing or moving a folder is no change of what is in it
	EmptyForUnknownParent bool `json:"emptyForUnknownParent,omitempty"` // a list of an unknown folder is empty, not 404
	ErrorDetails          bool `json:"errorDetails,omitempty"`          // errors carry status and details
	AutoConsent           bool `json:"autoConsent,omitempty"`           // the consent page asks nobody; for tests on one machine only
}

func (sw Switches) check() error {
	const year = 366 * 24 * 3600 * 1000
	for name, v := range map[string]int64{"tokenLife": sw.TokenLife, "lag.names": sw.Lag.Names, "lag.parents": sw.Lag.Parents, "lag.shared": sw.Lag.Shared,
		"lag.changes": sw.Lag.Changes, "unitsPerMinute": sw.UnitsPerMinute, "requestsPerMinute": sw.RequestsPerMinute} {
		if v < 0 {
			return fmt.Errorf("switch %s is negative: %w", name, iofs.ErrInvalid)
		}
	}
	if sw.ClockOffset > 100*year || sw.ClockOffset < -50*year {
		return fmt.Errorf("switch clockOffset: more than a human life: %w", iofs.ErrInvalid)
	}
	return nil
}

// Switches are the switches as they are set.
func (s *Server) Switches() Switches { return s.faults.switches() }

// SetSwitches sets all switches.
func (s *Server) SetSwitches(sw Switches) error {
	if err := sw.check(); err != nil {
		return err
	}
	err := s.update("", func(tx *txn) error {
		tx.save(bucketMeta, "switches", sw, func(*state) {})
		return nil
	})
	if err == nil {
		s.faults.setSwitches(sw)
	}
	return err
}
