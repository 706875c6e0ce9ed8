package driveserver

import (
	"net/http"
	"strings"
)

// The discovery document is made from one table: what a client needs to build its calls. Names and paths are those of Drive v3.

// described is one method in the discovery document.
type described struct {
	name, verb, path string // name as resource.method
	params           string // of the query, besides what every method takes
	request          *schema
	response         *schema
	upload           bool
	download         bool
}

const driveFlags = " supportsAllDrives supportsTeamDrives includeLabels includePermissionsForView"

var describedMethods = []described{
	{name: "about.get", verb: "GET", path: "about", response: schemaAbout},
	{name: "files.list", verb: "GET", path: "files", params: "q corpora corpus driveId spaces orderBy pageSize:integer pageToken includeItemsFromAllDrives:boolean includeTeamDriveItems:boolean teamDriveId" + driveFlags, response: schemaFileList},
	{name: "files.get", verb: "GET", path: "files/{fileId}", params: "acknowledgeAbuse:boolean" + driveFlags, response: schemaFile, download: true},
	{name: "files.create", verb: "POST", path: "files", params: "keepRevisionForever:boolean enforceSingleParent:boolean ignoreDefaultVisibility:boolean useContentAsIndexableText:boolean ocrLanguage" + driveFlags, request: schemaFile, response: schemaFile, upload: true},
	{name: "files.update", verb: "PATCH", path: "files/{fileId}", params: "addParents removeParents keepRevisionForever:boolean enforceSingleParent:boolean useContentAsIndexableText:boolean ocrLanguage" + driveFlags, request: schemaFile, response: schemaFile, upload: true},
	{name: "files.delete", verb: "DELETE", path: "files/{fileId}", params: "enforceSingleParent:boolean" + driveFlags},
	{name: "files.copy", verb: "POST", path: "files/{fileId}/copy", params: "keepRevisionForever:boolean enforceSingleParent:boolean" + driveFlags, request: schemaFile, response: schemaFile},
	{name: "files.emptyTrash", verb: "DELETE", path: "files/trash", params: "driveId enforceSingleParent:boolean"},
	{name: "files.export", verb: "GET", path: "files/{fileId}/export", params: "mimeType", download: true},
	{name: "files.generateIds", verb: "GET", path: "files/generateIds", params: "count:integer space type", response: schemaIDs},
	{name: "files.listLabels", verb: "GET", path: "files/{fileId}/listLabels", params: "maxResults:integer pageToken", response: schemaLabels},
	{name: "permissions.list", verb: "GET", path: "files/{fileId}/permissions", params: "pageSize:integer pageToken useDomainAdminAccess:boolean" + driveFlags, response: schemaPermissionList},
	{name: "permissions.get", verb: "GET", path: "files/{fileId}/permissions/{permissionId}", params: "useDomainAdminAccess:boolean" + driveFlags, response: schemaPermission},
	{name: "permissions.create", verb: "POST", path: "files/{fileId}/permissions", params: "sendNotificationEmail:boolean emailMessage transferOwnership:boolean moveToNewOwnersRoot:boolean enforceSingleParent:boolean useDomainAdminAccess:boolean enforceExpansiveAccess:boolean" + driveFlags, request: schemaPermission, response: schemaPermission},
	{name: "permissions.update", verb: "PATCH", path: "files/{fileId}/permissions/{permissionId}", params: "removeExpiration:boolean transferOwnership:boolean useDomainAdminAccess:boolean enforceExpansiveAccess:boolean" + driveFlags, request: schemaPermission, response: schemaPermission},
	{name: "permissions.delete", verb: "DELETE", path: "files/{fileId}/permissions/{permissionId}", params: "useDomainAdminAccess:boolean enforceExpansiveAccess:boolean" + driveFlags},
	{name: "revisions.list", verb: "GET", path: "files/{fileId}/revisions", params: "pageSize:integer pageToken", response: schemaRevisionList},
	{name: "revisions.get", verb: "GET", path: "files/{fileId}/revisions/{revisionId}", params: "acknowledgeAbuse:boolean", response: schemaRevision, download: true},
	{name: "changes.getStartPageToken", verb: "GET", path: "changes/startPageToken", params: "driveId teamDriveId supportsAllDrives supportsTeamDrives", response: schemaStart},
	{name: "changes.list", verb: "GET", path: "changes", params: "pageToken! pageSize:integer includeRemoved:boolean restrictToMyDrive:boolean includeCorpusRemovals:boolean spaces driveId includeItemsFromAllDrives:boolean" + driveFlags, response: schemaChangeList},
	{name: "drives.list", verb: "GET", path: "drives", params: "q pageSize:integer pageToken useDomainAdminAccess:boolean", response: schemaDriveList},
	{name: "drives.get", verb: "GET", path: "drives/{driveId}", params: "useDomainAdminAccess:boolean", response: schemaDrive},
}

// serveDiscovery describes the API with this server as its root.
func (s *Server) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	root := schemeOf(r) + "://" + r.Host + "/"
	schemas := map[string]any{}
	resources := map[string]any{}
	for _, m := range describedMethods {
		resource, name, _ := strings.Cut(m.name, ".")
		if resources[resource] == nil {
			resources[resource] = map[string]any{"methods": map[string]any{}}
		}
		resources[resource].(map[string]any)["methods"].(map[string]any)[name] = m.describe(schemas)
	}
	common := parameters("alt fields key oauth_token access_token prettyPrint:boolean quotaUser callback uploadType upload_protocol $.xgafv", "query")
	sendJSON(w, http.StatusOK, map[string]any{
		"kind": "discovery#restDescription", "discoveryVersion": "v1", "id": "drive:v3", "name": "drive", "version": "v3", "title": "Google Drive API",
		"description": "The part of Drive v3 that the local drive speaks.", "protocol": "rest", "rootUrl": root, "servicePath": "drive/v3/", "baseUrl": root + "drive/v3/",
		"basePath": "/drive/v3/", "batchPath": "batch/drive/v3", "parameters": common, "resources": resources, "schemas": schemas,
		"auth": map[string]any{"oauth2": map[string]any{"scopes": map[string]any{scopeDrive: map[string]any{"description": "Drive whole"}}}},
	}, true)
}

func (m described) describe(schemas map[string]any) map[string]any {
	out := map[string]any{"id": "drive." + m.name, "httpMethod": m.verb, "path": m.path, "flatPath": m.path, "scopes": []any{scopeDrive}}
	params := parameters(m.params, "query")
	var order []any
	for part := range strings.SplitSeq(m.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			params[name] = map[string]any{"type": "string", "location": "path", "required": true}
			order = append(order, name)
		}
	}
	if len(order) > 0 {
		out["parameterOrder"] = order
	}
	out["parameters"] = params
	if m.request != nil {
		out["request"] = m.request.reference(schemas)
	}
	if m.response != nil {
		out["response"] = m.response.reference(schemas)
	}
	if m.upload {
		out["supportsMediaUpload"] = true
		out["mediaUpload"] = map[string]any{"accept": []any{"*/*"}, "maxSize": "5497558138880", "protocols": map[string]any{
			"simple":    map[string]any{"multipart": true, "path": "/upload/drive/v3/" + m.path},
			"resumable": map[string]any{"multipart": true, "path": "/resumable/upload/drive/v3/" + m.path},
		}}
	}
	if m.download {
		out["supportsMediaDownload"] = true
	}
	return out
}

// parameters describes names of the form name, name:type, or name! for one that is required.
func parameters(list, location string) map[string]any {
	out := map[string]any{}
	for p := range strings.FieldsSeq(list) {
		p, required := strings.CutSuffix(p, "!")
		name, kind, ok := strings.Cut(p, ":")
		if !ok {
			kind = "string"
			if strings.HasPrefix(name, "supports") {
				kind = "boolean"
			}
		}
		d := map[string]any{"type": kind, "location": location}
		if required {
			d["required"] = true
		}
		out[name] = d
	}
	return out
}

// reference names a schema and adds it, and what it refers to, to the schemas.
func (s *schema) reference(schemas map[string]any) map[string]any {
	ref := map[string]any{"$ref": s.name}
	if schemas[s.name] != nil {
		return ref
	}
	if s.free {
		schemas[s.name] = map[string]any{"id": s.name, "type": "object", "additionalProperties": map[string]any{"type": "any"}}
		return ref
	}
	properties := map[string]any{}
	schemas[s.name] = map[string]any{"id": s.name, "type": "object", "properties": properties}
	for name, below := range s.fields {
		if below == nil {
			properties[name] = map[string]any{"type": "any"}
			continue
		}
		properties[name] = below.reference(schemas)
	}
	return ref
}
