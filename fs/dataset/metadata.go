package dataset

import (
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// metadata is private_metadata.yaml as it is read.
type metadata struct {
	UID     text `yaml:"uid"`
	DataDir text `yaml:"data_dir"`
}

// Rehome gives the private_metadata.yaml that says that the private part lies in dataDir, an absolute host path or ".": what one that
// came from another machine must become. ErrBroken if text is none.
func Rehome(text []byte, dataDir string) ([]byte, error) {
	var m metadata
	err := yaml.Unmarshal(text, &m)
	if err == nil && m.UID == "" {
		err = errors.New("it has no uid")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", PrivateFile, ErrBroken, err)
	}
	d := Dataset{UID: string(m.UID)}
	return d.privateDescription(dataDir), nil
}
