"""The fields ``ct.*`` of a record."""

from __future__ import annotations

from falco_plugin import Event, field, json_field

_SERVICE_SUFFIX = ".amazonaws.com"

# These are not attributes of the class, so they are not fields of the plugin.
_USER_NAME = json_field("ct.user", "/userIdentity/userName", desc="Name of the user")
_INVOKED_BY = json_field("ct.user", "/userIdentity/invokedBy", desc="Service that made the request")
_ROLE = json_field("ct.user", "/userIdentity/sessionContext/sessionIssuer/userName", desc="Role of the session")
_USER_ACCOUNT = json_field("ct.user.accountid", "/userIdentity/accountId", desc="Account of the user")
_RESOURCES = json_field("ct.resources", "/resources/*", type=list[str], desc="Resources, as JSON")


class RecordFields:
    """Fields ``ct.*``."""

    # The event

    event_id = json_field("ct.id", "/eventID", desc="Id of the event")
    time = json_field("ct.time", "/eventTime", desc="Time of the event, as in the record", hidden=True)
    source = json_field("ct.src", "/eventSource", desc="Service that was called, such as s3.amazonaws.com")
    event_name = json_field("ct.name", "/eventName", desc="Name of the event, which is the called action")
    event_type = json_field("ct.eventtype", "/eventType", desc="Type of the event, such as AwsApiCall")
    category = json_field("ct.eventcategory", "/eventCategory", desc="Category of the event, such as Management")
    region = json_field("ct.region", "/awsRegion", desc="Region in which the request was made")
    error = json_field("ct.error", "/errorCode", desc="Code of the error; absent if the request succeeded")
    error_message = json_field("ct.errormessage", "/errorMessage", desc="Description of the error")
    read_only = json_field("ct.readonly", "/readOnly", desc="'true' if the request changes nothing, else 'false'")
    management = json_field(
        "ct.managementevent", "/managementEvent", desc="'true' if the event is a management event, else 'false'"
    )
    shared_id = json_field("ct.sharedeventid", "/sharedEventID", desc="Id of the event in all accounts that receive it")
    recipient = json_field("ct.recipientaccountid", "/recipientAccountId", desc="Account that received the event")

    @field("ct.shortsrc", desc="Service that was called, without .amazonaws.com")
    def short_source(self, event: Event) -> str | None:
        service = self.source(event)
        return service and (service.removesuffix(_SERVICE_SUFFIX) or service)

    @field("ct.resources", desc="Resources that the request accessed, as JSON objects separated by commas")
    def resources(self, event: Event) -> str | None:
        return ",".join(_RESOURCES(event) or ()) or None

    # The user

    identity_type = json_field("ct.user.identitytype", "/userIdentity/type", desc="Type of the user, such as IAMUser")
    principal = json_field("ct.user.principalid", "/userIdentity/principalId", desc="Unique id of the user")
    arn = json_field("ct.user.arn", "/userIdentity/arn", desc="ARN of the user")

    @field(
        "ct.user",
        desc="Name of the user; the role of an assumed role, the service that made a request for a user",
        conversation=True,
    )
    def user(self, event: Event) -> str | None:
        kind = self.identity_type(event)
        if kind == "AssumedRole":
            return _ROLE(event) or kind
        if kind == "AWSService":
            return _INVOKED_BY(event)
        return kind if kind in ("AWSAccount", "FederatedUser") else _USER_NAME(event)

    @field("ct.originaluser", desc="Name of the user; the session of an assumed role")
    def original_user(self, event: Event) -> str | None:
        if self.identity_type(event) != "AssumedRole":
            return _USER_NAME(event)
        # The forms are arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION and ID:SESSION.
        for text, separator, parts in ((self.arn(event), "/", 3), (self.principal(event), ":", 2)):
            if text is not None and len(split := text.split(separator)) == parts:
                return split[-1]
        return None

    @field("ct.user.accountid", desc="Account of the user, or the account that received the event")
    def account(self, event: Event) -> str | None:
        account = _USER_ACCOUNT(event)
        return self.recipient(event) if account is None else account

    # The client

    source_ip = json_field(
        "ct.srcip", "/sourceIPAddress", desc="Address that the request came from, or a service", conversation=True
    )
    user_agent = json_field("ct.useragent", "/userAgent", desc="User agent of the client")
    from_console = json_field(
        "ct.sessioncredentialfromconsole",
        "/sessionCredentialFromConsole",
        desc="'true' if the event came from a session of the console",
    )
    vpc_endpoint = json_field("ct.vpcendpointid", "/vpcEndpointId", desc="VPC endpoint that the request came through")
    tls_version = json_field("ct.tlsdetails.tlsversion", "/tlsDetails/tlsVersion", desc="TLS version of the request")
    cipher_suite = json_field(
        "ct.tlsdetails.ciphersuite", "/tlsDetails/cipherSuite", desc="TLS cipher suite of the request"
    )
    host_header = json_field(
        "ct.tlsdetails.clientprovidedhostheader",
        "/tlsDetails/clientProvidedHostHeader",
        desc="Host name that the client called",
    )
    edge_device = json_field(
        "ct.edgedevicedetails", "/edgeDeviceDetails", desc="Edge devices that are targets of the request, as JSON"
    )

    # The request

    request = json_field("ct.request", "/requestParameters", desc="All parameters of the request, as JSON")
    request_id = json_field("ct.requestid", "/requestID", desc="Id of the request")
    api_version = json_field("ct.apiversion", "/apiVersion", desc="Version of the called API")
    request_zone = json_field(
        "ct.request.availabilityzone", "/requestParameters/availabilityZone", desc="Availability zone in the request"
    )
    request_cluster = json_field("ct.request.cluster", "/requestParameters/cluster", desc="Cluster in the request")
    request_function = json_field(
        "ct.request.functionname", "/requestParameters/functionName", desc="Function in the request"
    )
    request_group = json_field("ct.request.groupname", "/requestParameters/groupName", desc="Group in the request")
    request_host = json_field("ct.request.host", "/requestParameters/Host", desc="Host in the request")
    request_name = json_field("ct.request.name", "/requestParameters/name", desc="Name of the requested object")
    request_policy = json_field("ct.request.policy", "/requestParameters/policy", desc="Policy in the request")
    request_reason = json_field("ct.request.reason", "/requestParameters/reason", desc="Reason in the request")
    request_target = json_field("ct.request.target", "/requestParameters/target", desc="Target in the request")
    request_document = json_field(
        "ct.request.documentname", "/requestParameters/documentName", desc="Name of the document in the request"
    )
    request_serial = json_field(
        "ct.request.serialnumber", "/requestParameters/serialNumber", desc="Serial number in the request"
    )
    request_service = json_field(
        "ct.request.servicename", "/requestParameters/serviceName", desc="Name of the service in the request"
    )
    request_subnet = json_field("ct.request.subnetid", "/requestParameters/subnetId", desc="Subnet in the request")
    request_task = json_field(
        "ct.request.taskdefinition", "/requestParameters/taskDefinition", desc="Task definition in the request"
    )
    request_user = json_field("ct.request.username", "/requestParameters/userName", desc="User name in the request")

    # The response

    response = json_field("ct.response", "/responseElements", desc="All elements of the response, as JSON")
    response_subnet = json_field("ct.response.subnetid", "/responseElements/subnetId", desc="Subnet in the response")
    response_reservation = json_field(
        "ct.response.reservationid", "/responseElements/reservationId", desc="Reservation in the response"
    )
    additional_data = json_field(
        "ct.additionaleventdata", "/additionalEventData", desc="Data that is not part of request and response, as JSON"
    )
    service_event = json_field(
        "ct.serviceeventdetails", "/serviceEventDetails", desc="Cause and result of an event of a service, as JSON"
    )

    # Addenda, which correct earlier records

    addendum_reason = json_field("ct.addendum.reason", "/addendum/reason", desc="Reason of the addendum")
    addendum_fields = json_field(
        "ct.addendum.updatedfields", "/addendum/updatedFields", desc="Parts of the record that the addendum changes"
    )
    addendum_request = json_field(
        "ct.addendum.originalrequestid", "/addendum/originalRequestID", desc="Id of the corrected request"
    )
    addendum_event = json_field(
        "ct.addendum.originaleventid", "/addendum/originalEventID", desc="Id of the corrected event"
    )
