// run_step step.onnx in.f32 out.f32: an exported step over raw float32, channel after channel (sound).
#include <onnxruntime_c_api.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>
static const OrtApi* api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
static OrtAllocator* allocator;
static void check(OrtStatus* status) {
  if (status) { std::fprintf(stderr, "%s\n", api->GetErrorMessage(status)); std::exit(1); }
}
static OrtValue* zeros(OrtSession* session, size_t i) {  // a tensor of zeros for input i
  OrtTypeInfo* info;
  const OrtTensorTypeAndShapeInfo* tensor;
  ONNXTensorElementDataType type;
  size_t rank, count;
  check(api->SessionGetInputTypeInfo(session, i, &info));
  check(api->CastTypeInfoToTensorInfo(info, &tensor));
  check(api->GetTensorElementType(tensor, &type));
  check(api->GetDimensionsCount(tensor, &rank));
  std::vector<int64_t> shape(rank);
  check(api->GetDimensions(tensor, shape.data(), rank));
  check(api->GetTensorShapeElementCount(tensor, &count));
  OrtValue* value; char* data;
  check(api->CreateTensorAsOrtValue(allocator, shape.data(), rank, type, &value));
  check(api->GetTensorMutableData(value, (void**)&data));
  std::fill_n(data, count * (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? 8 : 4), 0);
  return value;
}
template <class T> static T* data(OrtValue* value) {
  T* found;
  check(api->GetTensorMutableData(value, (void**)&found));
  return found;
}
int main(int, char** argv) {
  OrtEnv* env; OrtSession* session; OrtSessionOptions* options; OrtModelMetadata* meta; size_t n;
  check(api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "step", &env));
  check(api->CreateSessionOptions(&options));
  check(api->CreateSession(env, argv[1], options, &session));
  check(api->GetAllocatorWithDefaultOptions(&allocator));
  check(api->SessionGetModelMetadata(session, &meta));
  auto fact = [&](const char* key) {  // of the file's own properties
    char* text;
    check(api->ModelMetadataLookupCustomMetadataMap(meta, allocator, key, &text));
    return std::string(text);
  };
  auto second = [](const std::string& sizes) { return std::stol(sizes.substr(sizes.find(',') + 1)); };
  const long chunk = std::stol(fact("chunk")), given = std::stol(fact("outputs")), skip = std::stol(fact("skip"));
  check(api->SessionGetInputCount(session, &n));  // the chunk, then the state; outputs, then the state after it
  std::vector<char*> in(n), out(n);
  std::vector<OrtValue*> values(n), after(n);
  for (size_t i = 0; i < n; i++) {
    check(api->SessionGetInputName(session, i, allocator, &in[i]));
    check(api->SessionGetOutputName(session, i, allocator, &out[i]));
    values[i] = zeros(session, i);
  }
  std::ifstream file(argv[2], std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  const float* x = (const float*)bytes.data();
  const long channels = second(fact("shape")), channels_out = second(fact("output_shape"));
  const long length = bytes.size() / 4 / channels;
  const size_t clock = std::find(in.begin(), in.end(), std::string("clock.length")) - in.begin();
  data<int64_t>(values[clock])[0] = length;  // the next state, clock.outputs, then tells how many outputs there are
  std::vector<float> y;  // step after step, each (channels, outputs)
  for (long begin = 0, come = 0; begin < length || come < skip + data<int64_t>(values[clock + 1])[0];
       begin += chunk, come += given) {
    for (long i = 0; i < channels * chunk; i++) {  // zeros past the input's end
      const long t = begin + i % chunk;
      data<float>(values[0])[i] = t < length ? x[i / chunk * length + t] : 0;
    }
    std::fill(after.begin(), after.end(), nullptr);
    check(api->Run(session, nullptr, in.data(), values.data(), n, out.data(), n, after.data()));
    y.insert(y.end(), data<float>(after[0]), data<float>(after[0]) + channels_out * given);
    for (size_t i = 1; i < n; i++) { api->ReleaseValue(values[i]); values[i] = after[i]; }
    api->ReleaseValue(after[0]);
  }
  const long total = data<int64_t>(values[clock + 1])[0], wide = channels_out * given;
  std::ofstream result(argv[3], std::ios::binary);
  for (long c = 0; c < channels_out; c++)
    for (long t = skip; t < skip + total; t++) result.write((char*)&y[t / given * wide + c * given + t % given], 4);
}
