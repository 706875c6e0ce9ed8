package jobs

import "time"

// State is state.yaml, written by the owner. Zero times and empty strings are null in the file.
type State struct {
	Status         Status
	ReceivedAt     time.Time
	ApprovedBy     string
	ApprovedAt     time.Time
	ApprovalMethod string
	RejectedBy     string
	RejectedAt     time.Time
	ReviewReason   string
	CompletedAt    time.Time
	ReturnCode     *int
}

// ParseState reads state.yaml under the limits of ParseConfig; it is shown, never believed. An error is a *FormatError.
func ParseState(src []byte) (State, error) {
	y, err := parseYAML(StateFile, src)
	if err != nil {
		return State{}, err
	}
	s := State{
		Status: Status(y.word("status", true, string(Received), string(Pending), string(Approved), string(Rejected),
			string(Running), string(Done), string(Failed))),
		ReceivedAt:     y.time("received_at", false),
		ApprovedBy:     y.text("approved_by", false),
		ApprovedAt:     y.time("approved_at", false),
		ApprovalMethod: y.text("approval_method", false),
		RejectedBy:     y.text("rejected_by", false),
		RejectedAt:     y.time("rejected_at", false),
		ReviewReason:   y.text("review_reason", false),
		CompletedAt:    y.time("completed_at", false),
	}
	if s.ReviewReason == "" { // its name until 0.1.112
		s.ReviewReason = y.text("rejection_reason", false)
	}
	if n := y.get("return_code", false, tagInt, tagNull); n != nil {
		v, err := plainValue(n)
		code, ok := v.(int64)
		if err != nil || !ok || int64(int32(code)) != code {
			y.fail(n, "return_code", "is not a small number")
		}
		c := int(code)
		s.ReturnCode = &c
	}
	if y.err != nil {
		return State{}, y.err
	}
	return s, nil
}

// Marshal writes state.yaml as the peers' client writes it: ten keys in order.
func (s State) Marshal() []byte {
	var code any
	if s.ReturnCode != nil {
		code = *s.ReturnCode
	}
	b, err := yamlMap(map[string]any{
		"approval_method": textOrNull(s.ApprovalMethod),
		"approved_at":     timeOrNull(s.ApprovedAt),
		"approved_by":     textOrNull(s.ApprovedBy),
		"completed_at":    timeOrNull(s.CompletedAt),
		"received_at":     timeOrNull(s.ReceivedAt),
		"rejected_at":     timeOrNull(s.RejectedAt),
		"rejected_by":     textOrNull(s.RejectedBy),
		"return_code":     code,
		"review_reason":   textOrNull(s.ReviewReason),
		"status":          string(s.Status),
	})
	if err != nil {
		panic(err) // only texts, times and one number: nothing that the writer refuses
	}
	return b
}
