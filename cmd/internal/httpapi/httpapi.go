// Package httpapi is the local API: JSON over a unix socket in the owner's own folder, and its Go client. It proves who calls
// by the socket's peer credentials and gives each question to the service; it adds no meaning. The daemon serves it, the
// commands use the client.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/openmined/syftfs/cmd/internal/service"
)

// maxBody bounds a question, in bytes.
const maxBody = 1 << 20

// Op is one operation of the API: the path it has, and the types of question and answer.
type Op[Q, A any] struct{ Path string }

// The operations.
var (
	Status         = Op[struct{}, service.Status]{"/v1/status"}
	Shutdown       = Op[struct{}, struct{}]{"/v1/shutdown"}
	Why            = Op[service.WhyQuestion, service.WhyAnswer]{"/v1/why"}
	Who            = Op[service.PathQuestion, service.WhoAnswer]{"/v1/who"}
	Share          = Op[service.Sharing, service.Edited]{"/v1/permissions/share"}
	Unshare        = Op[service.Sharing, service.Edited]{"/v1/permissions/unshare"}
	PermShow       = Op[service.PathQuestion, service.ShowAnswer]{"/v1/permissions/show"}
	PermSet        = Op[service.Setting, service.Edited]{"/v1/permissions/set"}
	PermMove       = Op[service.Moving, service.Edited]{"/v1/permissions/move"}
	PermLint       = Op[service.PathQuestion, service.LintAnswer]{"/v1/permissions/lint"}
	PermDiff       = Op[service.DiffQuestion, service.DiffAnswer]{"/v1/permissions/diff"}
	ViewOpen       = Op[service.OpenView, service.View]{"/v1/views/open"}
	ViewList       = Op[struct{}, []service.View]{"/v1/views/list"}
	ViewClose      = Op[service.CloseView, struct{}]{"/v1/views/close"}
	ViewHold       = Op[service.CloseView, struct{}]{"/v1/views/hold"} // answers when the view is gone; ends it when the connection does
	UserCreate     = Op[service.NewUser, service.User]{"/v1/users/create"}
	UserVerify     = Op[service.Who, service.User]{"/v1/users/verify"}
	UserDisable    = Op[service.Who, service.User]{"/v1/users/disable"}
	UserEnable     = Op[service.Who, service.User]{"/v1/users/enable"}
	UserList       = Op[struct{}, []service.User]{"/v1/users/list"}
	PeerList       = Op[struct{}, []service.Peer]{"/v1/peers/list"}
	PeerGives      = Op[service.PeerQuestion, service.PeerGives]{"/v1/peers/gives"}
	PeerRequest    = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/request"}
	PeerAccept     = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/accept"}
	PeerReject     = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/reject"}
	PeerBlock      = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/block"}
	PeerUnblock    = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/unblock"}
	PeerRemove     = Op[service.PeerQuestion, service.PeerDone]{"/v1/peers/remove"}
	SyncNow        = Op[service.SyncQuestion, service.ExchangeStatus]{"/v1/sync/now"}
	SyncRelease    = Op[struct{}, service.ExchangeStatus]{"/v1/sync/release"}
	Conflicts      = Op[struct{}, []service.ConflictCopy]{"/v1/conflicts/list"}
	Wait           = Op[service.WaitQuestion, service.Waited]{"/v1/sync/wait"} // answers when it is settled, or its time is over
	DatasetCreate  = Op[service.NewDataset, service.Dataset]{"/v1/datasets/create"}
	DatasetList    = Op[struct{}, []service.Dataset]{"/v1/datasets/list"}
	DatasetShare   = Op[service.DatasetSharing, service.Dataset]{"/v1/datasets/share"}
	DatasetUnshare = Op[service.DatasetSharing, service.Dataset]{"/v1/datasets/unshare"}
	DatasetDelete  = Op[service.DatasetDeletion, service.DatasetDeleted]{"/v1/datasets/delete"}
	JobList        = Op[struct{}, []service.Job]{"/v1/jobs/list"}
	JobShow        = Op[service.JobQuestion, service.JobDetails]{"/v1/jobs/show"}
	JobSubmit      = Op[service.Submission, service.Submitted]{"/v1/jobs/submit"}
	JobApprove     = Op[service.Approval, service.Job]{"/v1/jobs/approve"}
	JobReject      = Op[service.Rejection, service.Job]{"/v1/jobs/reject"}
	JobCancel      = Op[service.JobQuestion, service.Job]{"/v1/jobs/cancel"}
	JobRun         = Op[struct{}, struct{}]{"/v1/jobs/run"}
	JobRelease     = Op[service.Release, service.JobDetails]{"/v1/jobs/release"}
	JobLogs        = Op[service.JobQuestion, service.Log]{"/v1/jobs/logs"}
)

// The operations of syft-perm, under its names.
var ExplainPermissions = Op[service.Access, []service.WhyAnswer]{"/v1/permissions/explain_permissions"}

// GrantAccess gives a level.
func GrantAccess(level string) Op[service.Access, service.Edited] {
	return Op[service.Access, service.Edited]{"/v1/permissions/grant_" + level + "_access"}
}

// RevokeAccess takes a level and those above it.
func RevokeAccess(level string) Op[service.Access, service.Edited] {
	return Op[service.Access, service.Edited]{"/v1/permissions/revoke_" + level + "_access"}
}

// HasAccess asks for a level.
func HasAccess(level string) Op[service.Access, bool] {
	return Op[service.Access, bool]{"/v1/permissions/has_" + level + "_access"}
}

// Handler answers every operation with s. Who calls is in the connection's context.
func Handler(s *service.Service) http.Handler {
	mux := http.NewServeMux()
	handle(mux, Status, s.Status)
	handle(mux, Shutdown, s.Shutdown)
	handle(mux, Why, s.Why)
	handle(mux, Who, s.Who)
	handle(mux, Share, s.Share)
	handle(mux, Unshare, s.Unshare)
	handle(mux, PermShow, s.PermShow)
	handle(mux, PermSet, s.PermSet)
	handle(mux, PermMove, s.PermMove)
	handle(mux, PermLint, s.Lint)
	handle(mux, PermDiff, s.Diff)
	for _, level := range service.Levels {
		handle(mux, GrantAccess(level), service.GrantAccess(s, level))
		handle(mux, RevokeAccess(level), service.RevokeAccess(s, level))
		handle(mux, HasAccess(level), service.HasAccess(s, level))
	}
	handle(mux, ExplainPermissions, s.ExplainPermissions)
	handle(mux, ViewOpen, s.ViewOpen)
	handle(mux, ViewList, s.ViewList)
	handle(mux, ViewClose, s.ViewClose)
	handle(mux, ViewHold, s.ViewHold)
	handle(mux, UserCreate, s.UserCreate)
	handle(mux, UserVerify, s.UserVerify)
	handle(mux, UserDisable, s.UserDisable)
	handle(mux, UserEnable, s.UserEnable)
	handle(mux, UserList, s.UserList)
	handle(mux, PeerList, s.PeerList)
	handle(mux, PeerGives, s.PeerGives)
	handle(mux, PeerRequest, s.PeerRequest)
	handle(mux, PeerAccept, s.PeerAccept)
	handle(mux, PeerReject, s.PeerReject)
	handle(mux, PeerBlock, s.PeerBlock)
	handle(mux, PeerUnblock, s.PeerUnblock)
	handle(mux, PeerRemove, s.PeerRemove)
	handle(mux, SyncNow, s.SyncNow)
	handle(mux, SyncRelease, s.SyncRelease)
	handle(mux, Conflicts, s.Conflicts)
	handle(mux, Wait, s.Wait)
	handle(mux, DatasetCreate, s.DatasetCreate)
	handle(mux, DatasetList, s.DatasetList)
	handle(mux, DatasetShare, s.DatasetShare)
	handle(mux, DatasetUnshare, s.DatasetUnshare)
	handle(mux, DatasetDelete, s.DatasetDelete)
	handle(mux, JobList, s.JobList)
	handle(mux, JobShow, s.JobShow)
	handle(mux, JobSubmit, s.JobSubmit)
	handle(mux, JobApprove, s.JobApprove)
	handle(mux, JobReject, s.JobReject)
	handle(mux, JobCancel, s.JobCancel)
	handle(mux, JobRun, s.JobRun)
	handle(mux, JobRelease, s.JobRelease)
	handle(mux, JobLogs, s.JobLogs)
	return mux
}

type callerKey struct{}

// caller is who the connection belongs to; the zero Caller, who may do nothing, if that could not be told.
func caller(ctx context.Context) service.Caller {
	c, _ := ctx.Value(callerKey{}).(service.Caller)
	return c
}

type answer struct {
	Data  any            `json:"data,omitempty"`
	Error *service.Error `json:"error,omitempty"`
}

func handle[Q, A any](mux *http.ServeMux, op Op[Q, A], do func(context.Context, service.Caller, Q) (A, error)) {
	mux.HandleFunc("POST "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := question(w, r, &q); err != nil {
			reply(w, nil, err)
			return
		}
		a, err := do(r.Context(), caller(r.Context()), q)
		reply(w, a, err)
	})
}

// question reads one JSON object, or nothing, which is the zero question.
func question(w http.ResponseWriter, r *http.Request, q any) error {
	bad := func(why string, err error) error {
		return &service.Error{Code: service.BadInput, Message: "the question cannot be read: " + why, Err: err}
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(q)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return bad("something stands after it", nil)
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bad("it is longer than 1 MiB", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ends in the middle", err)
	}
	return bad(err.Error(), err)
}

func reply(w http.ResponseWriter, data any, err error) {
	w.Header().Set("Content-Type", "application/json")
	ans := answer{Data: data}
	if err != nil {
		ans = answer{Error: service.Wrap(err)}
		w.WriteHeader(ans.Error.Code.HTTP())
	}
	// The other end may be gone: there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(ans)
}
