-- Orthanc routes CT, MR, PET, segmentations and structure sets to her2node as soon as a series is stable.
-- In orthanc.json: "LuaScripts": ["/etc/orthanc/her2node.lua"], and her2node among "DicomModalities".
-- Results that her2node sends back are not routed again: they come from its AE title. (Were they, nothing would start.)

local NODE = 'her2node' -- the name in DicomModalities
local NODE_AE = 'HER2NODE' -- its AE title, for objects that came from the node itself
local ROUTED = { CT = true, MR = true, PT = true, SEG = true, RTSTRUCT = true, REG = true }

function OnStableSeries(seriesId, tags, metadata)
    if not ROUTED[tags['Modality']] then
        return
    end
    local series = ParseJson(RestApiGet('/series/' .. seriesId))
    local first = series['Instances'][1]
    local origin = ParseJson(RestApiGet('/instances/' .. first .. '/metadata?expand'))
    if origin['RemoteAET'] == NODE_AE then
        return
    end
    -- SendToModality(seriesId) fails for series in Orthanc 1.10; the REST call takes any resource.
    local body = DumpJson({ Resources = { seriesId }, Synchronous = false }, true)
    RestApiPost('/modalities/' .. NODE .. '/store', body)
end
