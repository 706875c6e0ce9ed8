package driveserver

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// fileView is one item as one caller sees it, on its way to JSON.
type fileView struct {
	c    *call
	st   *state
	x    *sight
	it   *item
	role role
}

// file is an item as a File resource with what the mask selects; fields without a value are left out. Hold Server.mu.
func (c *call) file(x *sight, it *item, m mask) map[string]any {
	v := &fileView{c: c, st: c.s.st, x: x, it: it, role: x.role(it)}
	out := map[string]any{}
	for name, make := range fileFields {
		below, ok := m.wants(name)
		if !ok {
			continue
		}
		if value := make(v); value != nil {
			out[name] = below.filter(value)
		}
	}
	return out
}

// fileFields makes the value of each field; nil is left out.
var fileFields = map[string]func(*fileView) any{
	"kind":                         func(*fileView) any { return "drive#file" },
	"id":                           func(v *fileView) any { return v.it.ID },
	"name":                         func(v *fileView) any { return v.it.Name },
	"mimeType":                     func(v *fileView) any { return v.it.Mime },
	"description":                  func(v *fileView) any { return some(v.it.Description) },
	"starred":                      func(v *fileView) any { return v.mine().Starred },
	"trashed":                      func(v *fileView) any { return v.x.trashed(v.it) },
	"explicitlyTrashed":            func(v *fileView) any { return v.it.Trashed },
	"parents":                      (*fileView).parents,
	"spaces":                       func(v *fileView) any { return []any{v.it.Space} },
	"version":                      func(v *fileView) any { return strconv.FormatInt(v.it.Version, 10) },
	"webViewLink":                  (*fileView).link,
	"webContentLink":               func(v *fileView) any { return v.bin("https://drive.google.com/uc?id=" + v.it.ID + "&export=download") },
	"iconLink":                     func(v *fileView) any { return "https://drive-thirdparty.googleusercontent.com/16/type/" + v.it.Mime },
	"hasThumbnail":                 func(*fileView) any { return false },
	"thumbnailVersion":             func(*fileView) any { return "0" },
	"createdTime":                  func(v *fileView) any { return stamp(v.it.Created) },
	"modifiedTime":                 func(v *fileView) any { return stamp(v.it.Modified) },
	"modifiedByMe":                 func(v *fileView) any { return v.mine().Modified != 0 },
	"modifiedByMeTime":             func(v *fileView) any { return someTime(v.mine().Modified) },
	"viewedByMe":                   func(v *fileView) any { return v.mine().Viewed != 0 },
	"viewedByMeTime":               func(v *fileView) any { return someTime(v.mine().Viewed) },
	"sharedWithMeTime":             func(v *fileView) any { return someTime(sharedWith(v.it, v.c.who.account).At) },
	"sharingUser":                  func(v *fileView) any { return v.user(sharedWith(v.it, v.c.who.account).By) },
	"owners":                       func(v *fileView) any { return []any{v.user(v.it.Owner)} },
	"ownedByMe":                    func(v *fileView) any { return v.it.Owner == v.c.who.ID },
	"lastModifyingUser":            func(v *fileView) any { return v.user(v.it.ModifiedBy) },
	"shared":                       func(v *fileView) any { return len(v.c.permissionsOf(v.x, v.it)) > 1 },
	"permissions":                  (*fileView).permissions,
	"permissionIds":                (*fileView).permissionIDs,
	"capabilities":                 (*fileView).capabilities,
	"viewersCanCopyContent":        func(v *fileView) any { return !v.it.NoCopy },
	"copyRequiresWriterPermission": func(v *fileView) any { return v.it.NoCopy },
	"writersCanShare":              func(v *fileView) any { return !v.it.WritersNoShare },
	"inheritedPermissionsDisabled": func(v *fileView) any { return v.only(v.it.folder(), v.it.Limited) },
	"folderColorRgb":               func(v *fileView) any { return some(v.it.Color) },
	"isAppAuthorized":              func(v *fileView) any { return v.it.Client == v.c.who.client },
	"properties":                   func(v *fileView) any { return stringMap(v.it.Properties) },
	"appProperties":                func(v *fileView) any { return stringMap(v.it.AppProperties[v.c.who.client]) },
	"shortcutDetails":              (*fileView).shortcut,
	"originalFilename":             (*fileView).original,
	"fullFileExtension":            func(v *fileView) any { return v.bin(extension(v.it.Name)) },
	"fileExtension":                func(v *fileView) any { return v.bin(extension(v.it.Name)) },
	"quotaBytesUsed":               func(v *fileView) any { return strconv.FormatInt(v.it.size(), 10) },
	"size":                         func(v *fileView) any { return v.content(func(b *content) any { return strconv.FormatInt(b.Size, 10) }) },
	"md5Checksum":                  func(v *fileView) any { return v.content(func(b *content) any { return b.MD5 }) },
	"sha1Checksum":                 func(v *fileView) any { return v.content(func(b *content) any { return b.SHA1 }) },
	"sha256Checksum":               func(v *fileView) any { return v.content(func(b *content) any { return b.SHA256 }) },
	"headRevisionId":               func(v *fileView) any { return v.content(func(b *content) any { return b.Rev }) },
}

func some(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func someTime(ms int64) any {
	if ms == 0 {
		return nil
	}
	return stamp(ms)
}

func stringMap(m map[string]string) any {
	if len(m) == 0 {
		return nil
	}
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func extension(name string) string { return strings.TrimPrefix(path.Ext(name), ".") }

func (v *fileView) mine() personal { return v.it.Users[v.c.who.ID] }

// only is value if it applies to the item.
func (v *fileView) only(applies bool, value any) any {
	if !applies {
		return nil
	}
	return value
}

// bin is a value of files with bytes.
func (v *fileView) bin(value any) any { return v.only(v.it.Content != nil, value) }

func (v *fileView) content(fn func(*content) any) any {
	if v.it.Content == nil {
		return nil
	}
	return fn(v.it.Content)
}

func (v *fileView) original() any {
	if v.it.Original != "" {
		return v.bin(v.it.Original)
	}
	return v.bin(v.it.Name)
}

func (v *fileView) parents() any {
	if p := v.x.parentSeen(v.it); p != nil {
		return []any{p.ID}
	}
	return nil
}

func (v *fileView) link() any {
	if v.it.folder() {
		return "https://drive.google.com/drive/folders/" + v.it.ID
	}
	return "https://drive.google.com/file/d/" + v.it.ID + "/view?usp=drivesdk"
}

func (v *fileView) shortcut() any {
	if v.it.Target == "" {
		return nil
	}
	return map[string]any{"targetId": v.it.Target, "targetMimeType": v.it.TargetMime}
}

func (v *fileView) user(id string) any { return v.c.user(v.st.accounts[id]) }

// user is a person as the caller sees them; nil for one who is gone.
func (c *call) user(a *account) any {
	if a == nil {
		return nil
	}
	return map[string]any{"kind": "drive#user", "displayName": a.name(), "me": a.ID == c.who.ID, "permissionId": a.ID, "emailAddress": a.Email}
}

// sharedWith is the grant by which somebody else shared the item itself with the account; zero for none.
func sharedWith(it *item, a *account) grant {
	g, ok := it.grantOf(a.ID)
	if !ok || it.Owner == a.ID || g.By == a.ID {
		return grant{}
	}
	return g
}

func (v *fileView) mayShare() bool {
	return v.role == roleOwner || v.role == roleWriter && !v.it.WritersNoShare
}

func (v *fileView) permissions() any {
	if !v.mayShare() {
		return nil
	}
	var all []any
	for _, p := range v.c.permissionsOf(v.x, v.it) {
		all = append(all, v.c.permission(p))
	}
	return all
}

func (v *fileView) permissionIDs() any {
	if v.role < roleWriter {
		return nil
	}
	var all []any
	for _, p := range v.c.permissionsOf(v.x, v.it) {
		all = append(all, p.ID)
	}
	return all
}

// The capabilities by the role that they need. All others of the discovery document are false here: they are for shared drives.
var (
	ownerMay  = strings.Fields("canTrash canUntrash canDelete canChangeCopyRequiresWriterPermission canChangeViewersCanCopyContent")
	writerMay = strings.Fields("canEdit canModifyContent canRename canReadRevisions canMoveItemWithinDrive canModifyEditorContentRestriction")
	folderMay = strings.Fields("canAddChildren canRemoveChildren canMoveChildrenWithinDrive canTrashChildren canDisableInheritedPermissions canEnableInheritedPermissions")
	neverMay  = strings.Fields("canAddFolderFromAnotherDrive canAddMyDriveParent canDeleteChildren canMoveChildrenOutOfDrive canMoveChildrenOutOfTeamDrive " +
		"canMoveItemIntoTeamDrive canMoveItemOutOfDrive canMoveItemOutOfTeamDrive canMoveTeamDriveItem canReadDrive canReadTeamDrive canReadLabels canModifyLabels canAcceptOwnership")
)

func (v *fileView) capabilities() any {
	owner, writer, folder := v.role == roleOwner, v.role >= roleWriter, v.it.folder()
	caps := map[string]any{
		"canListChildren": folder, "canDownload": v.it.Content != nil, "canCopy": v.c.mayCopy(v.x, v.it),
		"canComment": v.role >= roleCommenter, "canShare": v.mayShare(),
	}
	for _, n := range neverMay {
		caps[n] = false
	}
	for _, n := range ownerMay {
		caps[n] = owner && !v.it.Root
	}
	for _, n := range writerMay {
		caps[n] = writer && !(v.it.Root && slices.Contains([]string{"canRename", "canMoveItemWithinDrive"}, n))
	}
	for _, n := range folderMay {
		caps[n] = writer && folder
	}
	return caps
}
