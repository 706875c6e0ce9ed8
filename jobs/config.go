package jobs

import "time"

// Config is config.yaml, written by the submitter.
type Config struct {
	Name               string
	Type               string // python or bash
	SubmittedAt        time.Time
	Entrypoint         string
	Dependencies       []string
	Files              []string
	IsFolderSubmission bool
	JobType            string // local or enclave
	Datasets           map[string][]string
	Headers            map[string]any
}
