package driveserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// need is what a method asks of the scopes of a token.
type need int

const (
	needNone    need = iota // any token
	needRead                // metadata
	needContent             // metadata and bytes
	needWrite
)

const (
	maxBody  = 1 << 20  // of metadata
	maxBatch = 16 << 20 // of a batch
	maxURL   = 32 << 10
)

// method is one call of the API.
type method struct {
	id     string
	units  int64
	need   need
	schema *schema // what `fields` selects from; nil where it has no meaning
	run    func(*call) error
}

// call is one request on its way.
type call struct {
	s      *Server
	m      *method
	w      http.ResponseWriter
	r      *http.Request
	id     string // of the file that the call is about, "" for none
	q      url.Values
	who    caller
	fields mask
	fault  *Action // the fault that is to happen within this call, nil for none
}

// routes is everything but the proxy and the admin endpoint.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	add := func(pattern string, m method) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(&m, w, r) })
	}
	const v3 = "/drive/v3"
	add("GET "+v3+"/about", method{"about.get", unitsGet, needRead, schemaAbout, (*call).aboutGet})
	add("GET "+v3+"/files", method{"files.list", unitsList, needRead, schemaFileList, (*call).filesList})
	add("POST "+v3+"/files", method{"files.create", unitsEdit, needWrite, schemaFile, (*call).filesCreate})
	add("GET "+v3+"/files/generateIds", method{"files.generateIds", unitsOther, needWrite, schemaIDs, (*call).generateIDs})
	add("DELETE "+v3+"/files/trash", method{"files.emptyTrash", unitsEdit, needWrite, nil, (*call).emptyTrash})
	add("GET "+v3+"/files/{id}", method{"files.get", unitsGet, needRead, schemaFile, (*call).filesGet})
	add("PATCH "+v3+"/files/{id}", method{"files.update", unitsEdit, needWrite, schemaFile, (*call).filesUpdate})
	add("DELETE "+v3+"/files/{id}", method{"files.delete", unitsEdit, needWrite, nil, (*call).filesDelete})
	add("POST "+v3+"/files/{id}/copy", method{"files.copy", unitsEdit, needWrite, schemaFile, (*call).filesCopy})
	add("GET "+v3+"/files/{id}/export", method{"files.export", unitsDownload, needContent, nil, (*call).filesExport})
	add("GET "+v3+"/files/{id}/listLabels", method{"files.listLabels", unitsGet, needRead, schemaLabels, (*call).listLabels})
	add("GET "+v3+"/files/{id}/permissions", method{"permissions.list", unitsList, needRead, schemaPermissionList, (*call).permissionsList})
	add("POST "+v3+"/files/{id}/permissions", method{"permissions.create", unitsEdit, needWrite, schemaPermission, (*call).permissionsCreate})
	add("GET "+v3+"/files/{id}/permissions/{pid}", method{"permissions.get", unitsGet, needRead, schemaPermission, (*call).permissionsGet})
	add("PATCH "+v3+"/files/{id}/permissions/{pid}", method{"permissions.update", unitsEdit, needWrite, schemaPermission, (*call).permissionsUpdate})
	add("DELETE "+v3+"/files/{id}/permissions/{pid}", method{"permissions.delete", unitsEdit, needWrite, nil, (*call).permissionsDelete})
	add("GET "+v3+"/files/{id}/revisions", method{"revisions.list", unitsList, needRead, schemaRevisionList, (*call).revisionsList})
	add("GET "+v3+"/files/{id}/revisions/{rid}", method{"revisions.get", unitsGet, needRead, schemaRevision, (*call).revisionsGet})
	add("GET "+v3+"/changes/startPageToken", method{"changes.getStartPageToken", unitsOther, needRead, schemaStart, (*call).startPageToken})
	add("GET "+v3+"/changes", method{"changes.list", unitsList, needRead, schemaChangeList, (*call).changesList})
	add("GET "+v3+"/drives", method{"drives.list", unitsList, needRead, schemaDriveList, (*call).drivesList})
	add("GET "+v3+"/drives/{id}", method{"drives.get", unitsGet, needRead, schemaDrive, (*call).drivesGet})
	for _, up := range []string{"/upload", "/resumable/upload"} {
		create := method{"files.create", unitsEdit, needWrite, schemaFile, (*call).uploadCreate}
		change := method{"files.update", unitsEdit, needWrite, schemaFile, (*call).uploadUpdate}
		chunk := func(next method) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if id := r.URL.Query().Get("upload_id"); id != "" {
					s.serveChunk(id, w, r)
					return
				}
				s.serve(&next, w, r)
			}
		}
		mux.HandleFunc("POST "+up+v3+"/files", chunk(create))
		mux.HandleFunc("PUT "+up+v3+"/files", chunk(create))
		mux.HandleFunc("DELETE "+up+v3+"/files", chunk(create))
		for _, verb := range []string{"PATCH ", "PUT ", "POST ", "DELETE "} {
			mux.HandleFunc(verb+up+v3+"/files/{id}", chunk(change))
		}
	}
	mux.HandleFunc("POST /batch/drive/v3", s.serveBatch)
	s.signInRoutes(mux)
	mux.HandleFunc("GET /discovery/v1/apis/drive/v3/rest", s.serveDiscovery)
	mux.HandleFunc("GET /$discovery/rest", s.serveDiscovery)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		errReason(http.StatusNotFound, "notFound", "Not Found").send(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.RequestURI()) > maxURL {
			errReason(http.StatusRequestURITooLong, "badRequest", "The URL is too long.").send(w)
			return
		}
		w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
		r, err := overridden(w, r)
		if err != nil {
			asAPI(err).send(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// overridden undoes X-HTTP-Method-Override, with which a client hides a GET with a long query in a POST with a form.
func overridden(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	verb := strings.ToUpper(r.Header.Get("X-HTTP-Method-Override"))
	if r.Method != http.MethodPost || verb == "" {
		return r, nil
	}
	switch verb {
	case http.MethodPatch, http.MethodPut, http.MethodDelete:
		c := r.Clone(r.Context())
		c.Method = verb
		return c, nil
	case http.MethodGet:
	default:
		return nil, errBadRequest("X-HTTP-Method-Override cannot be " + clip(verb))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	c := r.Clone(r.Context())
	c.Method, c.Body, c.ContentLength = verb, http.NoBody, 0
	c.URL.RawQuery = strings.Trim(string(body)+"&"+r.URL.RawQuery, "&")
	return c, nil
}

// inBatch marks the context of a call that is part of a batch.
type inBatch struct{}

// serve runs one call: who it is, what it costs, which fault is to happen, what it answers.
func (s *Server) serve(m *method, w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w}
	who, err := s.authenticate(r)
	id := nobody
	if err == nil {
		id = who.ID
	}
	units := m.units
	if m.id == "files.get" && r.URL.Query().Get("alt") == "media" {
		m = &method{"files.download", unitsDownload, needContent, nil, (*call).filesDownload}
		units = m.units
	}
	defer func() { s.count(r.Context(), id, m.id, units, status) }()
	if err != nil {
		asAPI(err).send(status)
		return
	}
	c := &call{s: s, m: m, w: status, r: r, id: r.PathValue("id"), q: r.URL.Query(), who: who}
	s.faults.around(c, func() error {
		if err := s.throttle(id, units); err != nil {
			return err
		}
		return c.handle()
	})
}

func (s *Server) count(ctx context.Context, account, id string, units int64, w *statusWriter) {
	s.counters.add(account, func(c *Count) {
		if ctx.Value(inBatch{}) != nil {
			c.Batched[id]++
		} else {
			c.Requests[id]++
		}
		c.Statuses[w.status()]++
		c.Units += units
	})
}

// handle checks what every method shares and runs the method.
func (c *call) handle() error {
	if !c.who.can(c.m.need) {
		return errReason(http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
	}
	for _, name := range []string{"supportsAllDrives", "includeItemsFromAllDrives", "includeRemoved", "restrictToMyDrive", "includeCorpusRemovals", "sendNotificationEmail", "transferOwnership", "moveToNewOwnersRoot", "removeExpiration", "keepRevisionForever", "enforceSingleParent", "prettyPrint"} {
		if v := c.q.Get(name); v != "" && v != "true" && v != "false" {
			return errParameter(name, "Invalid value for boolean parameter: "+clip(v))
		}
	}
	if c.m.schema != nil {
		var err error
		if c.fields, err = c.m.schema.mask(c.q.Get("fields")); err != nil {
			return err
		}
	}
	return c.m.run(c)
}

func (c *call) flag(name string, absent bool) bool {
	switch c.q.Get(name) {
	case "true":
		return true
	case "false":
		return false
	}
	return absent
}

// read decodes the metadata of a request; an empty body is an empty object.
func (c *call) read(into any) error {
	return decodeMetadata(http.MaxBytesReader(c.w, c.r.Body, maxBody), into)
}

func decodeMetadata(r io.Reader, into any) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil
	}
	var typ *json.UnmarshalTypeError
	var own *apiError
	switch err := json.Unmarshal(raw, into); {
	case errors.As(err, &own):
		return own
	case errors.As(err, &typ):
		return errBadRequest("Invalid value for field " + clip(typ.Field) + ".")
	case err != nil:
		return errReason(http.StatusBadRequest, "parseError", "Parse Error")
	}
	return nil
}

// answer sends a resource with what the caller selected of it.
func (c *call) answer(v map[string]any) error {
	sendJSON(c.w, http.StatusOK, c.fields.filter(v), c.flag("prettyPrint", true))
	return nil
}

func (c *call) noContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// sight is the caller's sight of the items. Hold Server.mu, or a transaction.
func (c *call) sight(v view) *sight { return newSight(v, c.who.account, millis(c.s.clock())) }

// find is an item that the caller may see and that the token admits; "root" is the caller's. Everything else is 404.
func (c *call) find(x *sight, id string) (*item, error) {
	it := x.view.item(c.alias(id))
	if it == nil || !c.who.admits(it) || x.role(it) < roleReader {
		return nil, errNotFound(clip(id))
	}
	return it, nil
}

// alias is the id behind the names "root" and "appDataFolder".
func (c *call) alias(id string) string {
	switch id {
	case "root":
		return c.who.Root
	case spaceAppData:
		return c.who.AppRoot
	}
	return id
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// status is 0 for an answer that was never sent.
func (w *statusWriter) status() int { return w.code }

// throttle refuses a call beyond the bounds that the switches set.
func (s *Server) throttle(account string, units int64) error {
	return s.faults.charge(account, units, s.cfg.Now().Truncate(time.Minute))
}
