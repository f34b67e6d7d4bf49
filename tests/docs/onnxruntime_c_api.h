// The part of onnxruntime's C API that docs/examples/export/run_step.cpp calls, to compile it where the header is
// not installed. A function's place in the table is fixed for good: later versions add theirs at the end.
#pragma once
#include <cstddef>
#include <cstdint>
#define ORT_API_VERSION 1

struct OrtAllocator;
struct OrtEnv;
struct OrtModelMetadata;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1 };

struct OrtApi {
  using Text = const char*;
  template <class... A> using Call = OrtStatus* (*)(A...);
  void* until_2[2];
  Text (*GetErrorMessage)(const OrtStatus*);
  Call<OrtLoggingLevel, Text, OrtEnv**> CreateEnv;
  void* until_7[7 - 4];
  Call<const OrtEnv*, Text, const OrtSessionOptions*, OrtSession**> CreateSession;
  void* until_9[1];
  Call<OrtSession*, const OrtRunOptions*, const Text*, const OrtValue* const*, size_t, const Text*, size_t, OrtValue**> Run;
  Call<OrtSessionOptions**> CreateSessionOptions;
  void* until_30[30 - 11];
  Call<const OrtSession*, size_t*> SessionGetInputCount;
  void* until_33[33 - 31];
  Call<const OrtSession*, size_t, OrtTypeInfo**> SessionGetInputTypeInfo;
  void* until_36[36 - 34];
  Call<const OrtSession*, size_t, OrtAllocator*, char**> SessionGetInputName;
  Call<const OrtSession*, size_t, OrtAllocator*, char**> SessionGetOutputName;
  void* until_48[48 - 38];
  Call<OrtAllocator*, const int64_t*, size_t, ONNXTensorElementDataType, OrtValue**> CreateTensorAsOrtValue;
  void* until_51[51 - 49];
  Call<OrtValue*, void**> GetTensorMutableData;
  void* until_55[55 - 52];
  Call<const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**> CastTypeInfoToTensorInfo;
  void* until_60[60 - 56];
  Call<const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*> GetTensorElementType;
  Call<const OrtTensorTypeAndShapeInfo*, size_t*> GetDimensionsCount;
  Call<const OrtTensorTypeAndShapeInfo*, int64_t*, size_t> GetDimensions;
  void* until_64[1];
  Call<const OrtTensorTypeAndShapeInfo*, size_t*> GetTensorShapeElementCount;
  void* until_78[78 - 65];
  Call<OrtAllocator**> GetAllocatorWithDefaultOptions;
  void* until_96[96 - 79];
  void (*ReleaseValue)(OrtValue*);
  void* until_111[111 - 97];
  Call<const OrtSession*, OrtModelMetadata**> SessionGetModelMetadata;
  void* until_116[116 - 112];
  Call<const OrtModelMetadata*, OrtAllocator*, const char*, char**> ModelMetadataLookupCustomMetadataMap;
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
};
extern "C" const OrtApiBase* OrtGetApiBase();
