"""EC2 of every account and region: DescribeInstances by the filter `instance-id`, its XML kept ready."""

from collections.abc import Iterable
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

MOST_PER_PAGE = 1000
MOST_FILTER_VALUES = 200

_INSTANCE = """<item><reservationId>r-{number}</reservationId><ownerId>{account}</ownerId><groupSet/><instancesSet>
<item><instanceId>i-{number}</instanceId><imageId>ami-0abcdef1234567890</imageId>
<instanceState><code>16</code><name>running</name></instanceState>
<privateDnsName>ip-10-0-0-10.ec2.internal</privateDnsName><dnsName/><reason/><keyName/><amiLaunchIndex>0</amiLaunchIndex>
<productCodes/><instanceType>m5.large</instanceType><launchTime>2026-01-01T00:00:00.000Z</launchTime>
<placement><availabilityZone>{region}a</availabilityZone><groupName/><tenancy>default</tenancy></placement>
<monitoring><state>disabled</state></monitoring><subnetId>subnet-00000001</subnetId><vpcId>vpc-00000001</vpcId>
<privateIpAddress>10.0.0.10</privateIpAddress><sourceDestCheck>true</sourceDestCheck>
<groupSet><item><groupId>sg-00000001</groupId><groupName>default</groupName></item></groupSet>
<architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-{number}</volumeId>
<status>attached</status><attachTime>2026-01-01T00:00:00.000Z</attachTime>
<deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMapping>
<virtualizationType>hvm</virtualizationType><clientToken/><hypervisor>xen</hypervisor>
<networkInterfaceSet/><ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport>
<cpuOptions><coreCount>1</coreCount><threadsPerCore>2</threadsPerCore></cpuOptions>
<hibernationOptions><configured>false</configured></hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions>
<metadataOptions><state>applied</state><httpTokens>required</httpTokens><httpPutResponseHopLimit>1</httpPutResponseHopLimit>
<httpEndpoint>enabled</httpEndpoint></metadataOptions><tagSet>{tags}</tagSet></item></instancesSet></item>"""


class Ec2:
    """Instances, by account and region."""

    def __init__(self) -> None:
        self._instances: dict[tuple[str, str], dict[str, str]] = {}

    def put(self, account: str, region: str, instances: Iterable[tuple[str, dict[str, str]]]) -> None:
        """Add instances, given by ID and tags, or replace those of the same ID."""
        here = self._instances.setdefault((account, region), {})
        for instance_id, tags in instances:
            text = "".join(
                f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in tags.items()
            )
            number = instance_id.removeprefix("i-")
            here[instance_id] = _INSTANCE.format(number=number, account=account, region=region, tags=text).replace(
                "\n", ""
            )

    def answer(self, account: str, region: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of a DescribeInstances."""
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if asked.get("Action") != "DescribeInstances" or asked.get("Filter.1.Name") != "instance-id":
            return 400, _error("InvalidAction", "only DescribeInstances by instance-id is simulated")
        wanted = [value for name, value in asked.items() if name.startswith("Filter.1.Value.")]
        if len(wanted) > MOST_FILTER_VALUES:
            return 400, _error("FilterLimitExceeded", f"at most {MOST_FILTER_VALUES} values")
        here, start = self._instances.get((account, region), {}), int(asked.get("NextToken", "0"))
        found = [here[instance_id] for instance_id in wanted if instance_id in here]
        size = int(asked.get("MaxResults", MOST_PER_PAGE))
        more = f"<nextToken>{start + size}</nextToken>" if start + size < len(found) else ""
        page = "".join(found[start : start + size])
        answer = (
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>'
            f"<reservationSet>{page}</reservationSet>{more}</DescribeInstancesResponse>"
        )
        return 200, answer.encode()


def _error(code: str, message: str) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>".encode()
