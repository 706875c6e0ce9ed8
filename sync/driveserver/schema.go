package driveserver

import "strings"

// schema names the fields of a resource. A nil schema below a name is a plain value.
type schema struct {
	name   string
	fields map[string]*schema
	free   bool   // a map: every name is a key
	normal string // what is returned without `fields`; "" is everything
}

func (s *schema) lookup(name string) (*schema, bool) {
	if s.free {
		return nil, true
	}
	below, ok := s.fields[name]
	return below, ok
}

// resource makes a schema of plain fields, given in one string, and of fields that have their own.
func resource(name, normal, plain string, nested map[string]*schema) *schema {
	s := &schema{name: name, fields: map[string]*schema{}, normal: normal}
	for f := range strings.FieldsSeq(plain) {
		s.fields[f] = nil
	}
	for f, below := range nested {
		s.fields[f] = below
	}
	return s
}

// The resources of Drive v3 with all their documented fields, also those that this server never fills.
var (
	schemaMap  = &schema{name: "JsonMap", free: true}
	schemaAny  = &schema{name: "Any", free: true}
	schemaUser = resource("User", "", "kind displayName photoLink me permissionId emailAddress", nil)

	schemaCapabilities = &schema{name: "Capabilities", free: true}

	schemaPermission = resource("Permission", "kind,id,type,role",
		"kind id type role emailAddress domain displayName photoLink allowFileDiscovery expirationTime deleted pendingOwner view inheritedPermissionsDisabled",
		map[string]*schema{
			"permissionDetails":          resource("PermissionDetails", "", "permissionType role inherited inheritedFrom", nil),
			"teamDrivePermissionDetails": resource("TeamDrivePermissionDetails", "", "teamDrivePermissionType role inherited inheritedFrom", nil),
		})
	schemaPermissionList = resource("PermissionList", "kind,nextPageToken,permissions(kind,id,type,role)", "kind nextPageToken", map[string]*schema{"permissions": schemaPermission})

	schemaFile = resource("File", "kind,id,name,mimeType,resourceKey",
		`kind id name mimeType description starred trashed explicitlyTrashed trashedTime parents spaces version webContentLink webViewLink iconLink
		 hasThumbnail thumbnailLink thumbnailVersion viewedByMe viewedByMeTime createdTime modifiedTime modifiedByMeTime modifiedByMe sharedWithMeTime
		 teamDriveId driveId shared ownedByMe viewersCanCopyContent copyRequiresWriterPermission writersCanShare permissionIds hasAugmentedPermissions
		 folderColorRgb originalFilename fullFileExtension fileExtension md5Checksum sha1Checksum sha256Checksum size quotaBytesUsed headRevisionId
		 isAppAuthorized resourceKey inheritedPermissionsDisabled`,
		map[string]*schema{
			"trashingUser": schemaUser, "sharingUser": schemaUser, "owners": schemaUser, "lastModifyingUser": schemaUser,
			"permissions": schemaPermission, "capabilities": schemaCapabilities, "properties": schemaMap, "appProperties": schemaMap,
			"exportLinks": schemaMap, "shortcutDetails": resource("ShortcutDetails", "", "targetId targetMimeType targetResourceKey", nil),
			"contentHints": schemaAny, "imageMediaMetadata": schemaAny, "videoMediaMetadata": schemaAny, "contentRestrictions": schemaAny,
			"downloadRestrictions": schemaAny, "linkShareMetadata": schemaAny, "labelInfo": schemaAny, "clientEncryptionDetails": schemaAny,
		})
	schemaFileList = resource("FileList", "kind,incompleteSearch,nextPageToken,files("+schemaFile.normal+")", "kind incompleteSearch nextPageToken", map[string]*schema{"files": schemaFile})

	schemaDrive     = resource("Drive", "", "kind id name createdTime hidden colorRgb", map[string]*schema{"capabilities": schemaCapabilities, "restrictions": schemaMap})
	schemaDriveList = resource("DriveList", "", "kind nextPageToken", map[string]*schema{"drives": schemaDrive})

	changeNormal     = "kind,type,changeType,time,removed,fileId,driveId,file(" + schemaFile.normal + ")"
	schemaChange     = resource("Change", changeNormal, "kind type changeType time removed fileId driveId teamDriveId", map[string]*schema{"file": schemaFile, "drive": schemaDrive})
	schemaChangeList = resource("ChangeList", "kind,nextPageToken,newStartPageToken,changes("+changeNormal+")", "kind nextPageToken newStartPageToken", map[string]*schema{"changes": schemaChange})
	schemaStart      = resource("StartPageToken", "", "kind startPageToken", nil)
	schemaIDs        = resource("GeneratedIds", "", "kind space ids", nil)

	schemaAbout = resource("About", "", "kind maxUploadSize canCreateDrives canCreateTeamDrives appInstalled folderColorPalette", map[string]*schema{
		"user": schemaUser, "storageQuota": resource("StorageQuota", "", "limit usage usageInDrive usageInDriveTrash", nil),
		"importFormats": schemaMap, "exportFormats": schemaMap, "maxImportSizes": schemaMap, "driveThemes": schemaAny, "teamDriveThemes": schemaAny,
	})

	schemaRevision = resource("Revision", "kind,id,mimeType,modifiedTime",
		"kind id mimeType modifiedTime keepForever published publishedLink publishAuto publishedOutsideDomain size md5Checksum originalFilename",
		map[string]*schema{"lastModifyingUser": schemaUser, "exportLinks": schemaMap})
	schemaRevisionList = resource("RevisionList", "kind,nextPageToken,revisions(kind,id,mimeType,modifiedTime)", "kind nextPageToken", map[string]*schema{"revisions": schemaRevision})
	schemaLabels       = resource("LabelList", "", "kind nextPageToken labels modifiedLabels", nil)
)

// mask parses a `fields` parameter for this resource; an empty one is what is returned without it.
func (s *schema) mask(fields string) (mask, error) {
	if strings.TrimSpace(fields) == "" {
		if s.normal == "" {
			return nil, nil
		}
		fields = s.normal
	}
	m, err := parseMask(fields)
	if err != nil {
		return nil, errParameter("fields", "Invalid field selection "+clip(fields))
	}
	if bad := m.check(s); bad != "" {
		return nil, errParameter("fields", "Invalid field selection "+clip(bad))
	}
	return m, nil
}

// clip keeps a message short.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
