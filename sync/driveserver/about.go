package driveserver

import (
	"net/http"
	"strconv"
)

const maxUpload = 5 << 40 // 5 TiB, as Drive

func (c *call) aboutGet() error {
	if c.q.Get("fields") == "" {
		return &apiError{Code: 400, Reason: "required", Message: "The 'fields' parameter is required for this method.", Location: "fields"}
	}
	c.s.mu.RLock()
	var trash int64
	x := c.sight(c.s.st)
	for _, it := range c.s.st.items {
		if it.Owner == c.who.ID && x.trashed(it) {
			trash += it.size()
		}
	}
	used := strconv.FormatInt(c.s.st.usage[c.who.ID], 10)
	c.s.mu.RUnlock()
	quota := map[string]any{"usage": used, "usageInDrive": used, "usageInDriveTrash": strconv.FormatInt(trash, 10)}
	if c.who.Limit > 0 {
		quota["limit"] = strconv.FormatInt(c.who.Limit, 10)
	}
	empty := map[string]any{}
	return c.answer(map[string]any{
		"kind": "drive#about", "user": c.user(c.who.account), "storageQuota": quota, "maxUploadSize": strconv.FormatInt(maxUpload, 10),
		"importFormats": empty, "exportFormats": empty, "maxImportSizes": empty, "folderColorPalette": []any{}, "driveThemes": []any{},
		"canCreateDrives": false, "canCreateTeamDrives": false, "appInstalled": true,
	})
}

// Shared drives: there are none.

func (c *call) drivesList() error {
	return c.answer(map[string]any{"kind": "drive#driveList", "drives": []any{}})
}

func (c *call) drivesGet() error {
	return &apiError{Code: http.StatusNotFound, Reason: "notFound", Message: "Shared drive not found: " + clip(c.id), Location: "driveId"}
}

// listLabels: there are no labels.
func (c *call) listLabels() error {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	if _, err := c.find(c.sight(c.s.st), c.id); err != nil {
		return err
	}
	return c.answer(map[string]any{"kind": "drive#labelList", "labels": []any{}})
}

// Revisions: only the newest content is kept, which Drive's rules for thinning out allow.

func (c *call) revision() (map[string]any, *item, error) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	x := c.sight(c.s.st)
	it, err := c.find(x, c.id)
	switch {
	case err != nil:
		return nil, nil, err
	case x.role(it) < roleWriter:
		return nil, nil, errForbidden(it.ID)
	case it.Content == nil:
		return nil, nil, errReason(http.StatusForbidden, "revisionsNotSupported", "The file does not support revisions.")
	}
	return map[string]any{
		"kind": "drive#revision", "id": it.Content.Rev, "mimeType": it.Mime, "modifiedTime": stamp(it.Content.At), "keepForever": it.Keep,
		"size": strconv.FormatInt(it.Content.Size, 10), "md5Checksum": it.Content.MD5, "originalFilename": it.Name,
		"lastModifyingUser": c.user(c.s.st.accounts[it.ModifiedBy]), "published": false,
	}, it, nil
}

func (c *call) revisionsList() error {
	r, _, err := c.revision()
	if err != nil {
		return err
	}
	return c.answer(map[string]any{"kind": "drive#revisionList", "revisions": []any{r}})
}

func (c *call) revisionsGet() error {
	r, it, err := c.revision()
	switch {
	case err != nil:
		return err
	case it.Content.Rev != c.r.PathValue("rid"):
		return &apiError{Code: http.StatusNotFound, Reason: "notFound", Message: "Revision not found: " + clip(c.r.PathValue("rid")) + ".", Location: "revisionId"}
	case c.q.Get("alt") == "media":
		return c.filesDownload()
	}
	return c.answer(r)
}
